"""How LabelMe answers: a JSON file for each image, here with masks in boxes."""

import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.annotators.coco import regions

CONNECTOR = "labelme"
TASKS = ("semseg", "saliency")


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write a file for each image, with the labels of its tasks."""
    rows = {row["request_id"]: row for row in json.loads((sent / "manifest.json").read_text())}
    out = sent.with_name(f"{sent.name}-labelme")
    shapes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    sizes: dict[str, tuple[int, ...]] = {}
    for request_id, label in labels.items():
        image = rows[request_id]["image"]
        for name, mask in regions(label).items():
            shapes[image].append(mask_shape(name, mask))
            sizes[image] = mask.shape
    for image, drawn in shapes.items():
        path = out / Path(image).with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {
            "version": "6.3.1",
            "flags": {},
            "shapes": drawn,
            "imagePath": Path(image).name,
            "imageData": None,
            "imageHeight": sizes[image][0],
            "imageWidth": sizes[image][1],
        }
        path.write_text(json.dumps(data))
    return out


def mask_shape(name: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A shape of a mask, in its box."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    top, left, bottom, right = 0, 0, 0, 0
    if len(rows):
        top, left, bottom, right = rows[0], columns[0], rows[-1], columns[-1]
    box = mask[top : bottom + 1, left : right + 1].astype(np.uint8)
    done, data = cv2.imencode(".png", box)
    assert done
    return {
        "label": name,
        "points": [[float(left), float(top)], [float(right), float(bottom)]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(data.tobytes()).decode(),
    }


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """It answers no request, and cannot lead out of one."""
    raise NotImplementedError


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Give the last shape of an image a point that is none."""
    path = answer / Path(image).with_suffix(".json")
    data = json.loads(path.read_text())
    data["shapes"][-1]["points"] = [[1, "x"]]
    path.write_text(json.dumps(data))
