"""How Label Studio's brush answers: a PNG of 0 and 255 for each class, and a list of the files.

The first class is in two files, as two instances are. What no mask covers is not labelled.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from tests.support import CLASSES

CONNECTOR = "class_masks"
TASKS = ("semseg", "saliency")


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write the masks of these request ids; returns what is to be imported."""
    assert not skips
    out = sent.with_name(f"{sent.name}-masks")
    out.mkdir(exist_ok=True)
    rows = [("image", "task", "path")]
    for number, row in enumerate(json.loads((sent / "manifest.json").read_text()), 1):
        label = cv2.imread(str(labels[row["request_id"]]), cv2.IMREAD_UNCHANGED)
        for tag, mask in masks(row["task"], label):
            name = f"task-{number}-annotation-{number + 10}-by-1-tag-{tag}.png"
            data = cv2.imencode(".png", mask.astype(np.uint8) * np.uint8(255))[1]
            (out / name).write_bytes(data.tobytes())
            rows.append((row["image"], row["task"], name))
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return out


def masks(task: str, label: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The masks of a label, with their class and number."""
    if task == "saliency":
        return [("saliency-0", label > 0)]
    found = []
    for index, name in enumerate(CLASSES):
        mask = label == index
        if name == CLASSES[0]:
            left = np.arange(mask.shape[1]) < 3
            found.append((f"{name}-1", mask & left))
            mask &= ~left
        found.append((f"{name}-0", mask))
    return found


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a link that leads out of the folder."""
    out = sent.with_name(f"{sent.name}-masks")
    out.mkdir()
    (row,) = [
        r for r in json.loads((sent / "manifest.json").read_text()) if r["request_id"] == request_id
    ]
    (out / "a.png").symlink_to(outside)
    (out / "labels.csv").write_text(
        f"image,task,path,class\n{row['image']},{row['task']},a.png,wall\n"
    )
    return out


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Remove the last mask of an image."""
    rows = list(csv.DictReader((answer / "labels.csv").read_text().splitlines()))
    (answer / [row["path"] for row in rows if row["image"] == image][-1]).unlink()
