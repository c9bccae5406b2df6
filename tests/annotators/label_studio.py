"""How somebody answers a request in Label Studio: with brushes, exported as JSON."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from labelgrid.formats.label_studio_runs import encode
from tests.support import CLASSES

CONNECTOR = "label_studio"
TASKS = ("semseg", "saliency")


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write the answers of these request ids; returns what is to be imported."""
    tasks = {task["data"]["request_id"]: task for task in _tasks(sent)}
    exported = []
    for number, request_id in enumerate([*labels, *skips], 1):
        data = tasks.get(request_id, {}).get("data", {"request_id": request_id, "image": "?"})
        if request_id in labels:
            regions = list(_regions(labels[request_id], data["task"]))
            annotation = {"result": regions, "was_cancelled": False, "lead_time": 12.5}
        else:
            annotation = {"result": [_reason(skips[request_id])], "was_cancelled": True}
        exported.append(
            {
                "id": number,
                "annotations": [{"id": number, "completed_by": 1, **annotation}],
                "predictions": tasks.get(request_id, {}).get("predictions", []),
                "data": data,
            }
        )
    (sent / "answers.json").write_text(json.dumps(exported))
    return sent


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a file that a link places outside of the folder."""
    answer(sent, {request_id: outside}, {})
    elsewhere = outside.with_suffix(".json")
    (sent / "answers.json").rename(elsewhere)
    (sent / "answers.json").symlink_to(os.path.relpath(elsewhere, sent))
    return sent


def _tasks(sent: Path) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = json.loads((sent / "tasks.json").read_text())
    return tasks


def _regions(path: Path, task: str) -> Iterator[dict[str, Any]]:
    """One brush for each class of a made label."""
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert values is not None
    for value in np.unique(values).tolist():
        if task == "saliency":
            name = task if value else ""
        else:
            name = CLASSES[value] if value < len(CLASSES) else ""
        if not name:
            continue
        yield {
            "id": f"r{value}",
            "type": "brushlabels",
            "from_name": f"{task}-brush",
            "to_name": "image",
            "original_width": values.shape[1],
            "original_height": values.shape[0],
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": list(encode(values == value)),
                "brushlabels": [name],
            },
        }


def _reason(text: str) -> dict[str, Any]:
    value = {"text": [text]}
    return {"type": "textarea", "from_name": "reason", "to_name": "image", "value": value}


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Give the last region of a task a size that is none."""
    tasks = json.loads((answer / "answers.json").read_text())
    (task,) = [one for one in tasks if one["data"]["request_id"] == request_id]
    task["annotations"][0]["result"][-1]["original_width"] = "wide"
    (answer / "answers.json").write_text(json.dumps(tasks))
