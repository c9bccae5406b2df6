"""How a program that knows Cityscapes answers: `labelIds` of every other image, else `labelTrainIds`.

Three classes of the tests have other names in Cityscapes, which the import is told.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from labelgrid.annotate.import_options import ImportOptions
from labelgrid.formats.naming import stem

CONNECTOR = "cityscapes_files"
TASKS = ("semseg",)
OPTIONS = ImportOptions(names={"road": "floor", "car": "box", "person": "ball"})
#: The numbers of wall, floor, box and ball.
LABEL_IDS = np.array([12, 7, 26, 24], np.uint8)
TRAIN_IDS = np.array([3, 0, 13, 11], np.uint16)


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write the maps of these request ids; returns what is to be imported."""
    assert not skips
    out = sent.with_name(f"{sent.name}-gtFine")
    for number, row in enumerate(json.loads((sent / "manifest.json").read_text())):
        label = cv2.imread(str(labels[row["request_id"]]), cv2.IMREAD_UNCHANGED)
        kind, numbers, void = ("_gtFine_labelIds", LABEL_IDS, 4)
        if number % 2:
            kind, numbers, void = ("_labelTrainIds", TRAIN_IDS, 255)
        stored = np.where(label == 255, void, numbers[np.minimum(label, 3)]).astype(numbers.dtype)
        path = out / f"{stem(row['image'])}{kind}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", stored)[1].tobytes())
    return out


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a link that leads out of the folder."""
    out = sent.with_name(f"{sent.name}-gtFine")
    out.mkdir()
    (row,) = [
        r for r in json.loads((sent / "manifest.json").read_text()) if r["request_id"] == request_id
    ]
    (out / f"{stem(row['image'])}_gtFine_labelIds.png").symlink_to(outside)
    return out


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Cut the map of an image in its middle."""
    for path in answer.glob(f"{stem(image)}_*.png"):
        path.write_bytes(path.read_bytes()[:40])
