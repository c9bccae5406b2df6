"""How somebody answers a request that is a plain folder."""

import csv
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

CONNECTOR = "folder"


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Put label files at their places and skips into the table, by request id.

    Returns what is to be imported.
    """
    for row in json.loads((sent / "manifest.json").read_text()):
        if row["request_id"] in labels:
            path = sent / row["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(labels[row["request_id"]], path)
    with (sent / "skips.csv").open("a", newline="") as file:
        csv.writer(file).writerows(skips.items())
    return sent


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a path that leads out of the folder."""
    rows = json.loads((sent / "manifest.json").read_text())
    for row in rows:
        if row["request_id"] == request_id:
            row["path"] = os.path.relpath(outside, sent)
    (sent / "manifest.json").write_text(json.dumps(rows))
    return sent


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Cut the file of a label in its middle."""
    for row in json.loads((answer / "manifest.json").read_text()):
        if row["request_id"] == request_id:
            path = answer / row["path"]
            path.write_bytes(path.read_bytes()[:40])
