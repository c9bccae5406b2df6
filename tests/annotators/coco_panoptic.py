"""How a tool that exports COCO's panoptic format answers: a JSON file, and a folder of PNGs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.annotators.coco import regions
from tests.support import CLASSES

CONNECTOR = "coco_panoptic"
TASKS = ("semseg",)


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write a segment for each class, with an id beyond the numbers of one channel."""
    rows = {row["request_id"]: row for row in json.loads((sent / "manifest.json").read_text())}
    out = sent.with_name(f"{sent.name}-panoptic")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (request_id, label) in enumerate(labels.items()):
        masks = regions(label)
        size = next(iter(masks.values())).shape
        ids = np.zeros(size, np.int64)
        segments: list[dict[str, int]] = []
        for name, mask in masks.items():
            key = 70_000 * (1 + len(segments)) + number
            ids[mask] = key
            segments.append({"id": key, "category_id": 7 + CLASSES.index(name), "iscrowd": 0})
        image = rows[request_id]["image"]
        images.append({"id": number, "file_name": image, "height": size[0], "width": size[1]})
        file_name = f"{number}.png"
        annotations.append({"image_id": number, "file_name": file_name, "segments_info": segments})
        folder = out / "panoptic_val"
        folder.mkdir(parents=True, exist_ok=True)
        blue_first = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1)
        assert cv2.imwrite(str(folder / file_name), blue_first.astype(np.uint8))
    data = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7 + i, "name": name} for i, name in enumerate(CLASSES)],
    }
    (out / "panoptic_val.json").write_text(json.dumps(data))
    return out


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """It answers no request, and cannot lead out of one."""
    raise NotImplementedError


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Give the last segment of an image a category that is not there."""
    path = answer / "panoptic_val.json"
    data = json.loads(path.read_text())
    (number,) = [one["id"] for one in data["images"] if one["file_name"] == image]
    (annotation,) = [one for one in data["annotations"] if one["image_id"] == number]
    annotation["segments_info"][-1]["category_id"] = 999
    path.write_text(json.dumps(data))
