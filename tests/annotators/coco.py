"""How somebody answers a request of COCO: masks in another file, with other ids of categories."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support import CLASSES

CONNECTOR = "coco"
TASKS = ("semseg", "saliency")
SENT = "annotations/instances_default.json"


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write the answers of these request ids, in the order of the file that was sent."""
    data = json.loads((sent / SENT).read_text())
    ids = {category["name"]: 10 * category["id"] for category in data["categories"]}
    annotations: list[dict[str, Any]] = []
    done: list[dict[str, Any]] = []
    for image in data["images"]:
        before = len(annotations)
        for request_id in image["labelgrid_request_ids"]:
            if request_id in labels:
                for name, mask in regions(labels[request_id]).items():
                    runs = uncompressed(mask)
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": image["id"],
                            "category_id": ids[name],
                            "segmentation": {"size": list(mask.shape), "counts": runs},
                            "iscrowd": 1,
                        }
                    )
        if len(annotations) > before:
            done.append(image)
    answered = {
        "info": {"description": "by hand"},
        "images": done,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    (sent / "annotations" / "instances_answers.json").write_text(json.dumps(answered))
    with (sent / "skips.csv").open("a", newline="") as file:
        csv.writer(file).writerows(skips.items())
    return sent


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a link to a file out of the folder."""
    (sent / "answers.json").symlink_to(outside)
    return sent


def regions(label: Path) -> dict[str, NDArray[np.bool_]]:
    """The mask of each name that a label file of class indices, or of 0 and 255, draws."""
    pixels = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    if "saliency" in label.parts:
        return {"saliency": pixels == 255}
    return {name: pixels == i for i, name in enumerate(CLASSES) if (pixels == i).any()}


def uncompressed(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's run lengths down the columns, beginning with that of the background."""
    flat = mask.T.ravel().tolist()
    runs = [0]
    now = False
    for pixel in flat:
        if pixel != now:
            runs.append(0)
            now = pixel
        runs[-1] += 1
    return runs


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Give the last annotation of an image run lengths that are no numbers."""
    path = answer / "annotations" / "instances_answers.json"
    data = json.loads(path.read_text())
    (number,) = [one["id"] for one in data["images"] if one["file_name"] == image]
    last = [one for one in data["annotations"] if one["image_id"] == number][-1]
    last["segmentation"]["counts"] = [1, "x"]
    path.write_text(json.dumps(data))
