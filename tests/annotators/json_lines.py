"""How somebody answers a request of JSON lines: every other label in base64, the others as files."""

import base64
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

CONNECTOR = "tests.plugins.json_lines:build"


def answer(sent: Path, labels: Mapping[str, Path], skips: Mapping[str, str]) -> Path:
    """Write the answers of these request ids; returns what is to be imported."""
    lines: list[dict[str, str]] = []
    for number, (request_id, path) in enumerate(labels.items()):
        if number % 2:
            shutil.copyfile(path, sent / f"{number}{path.suffix}")
            lines.append({"request_id": request_id, "path": f"{number}{path.suffix}"})
        else:
            label = base64.b64encode(path.read_bytes()).decode()
            lines.append({"request_id": request_id, "label": label, "extension": path.suffix})
    lines += [{"request_id": request_id, "skip": reason} for request_id, reason in skips.items()]
    return _written(sent, lines)


def escape(sent: Path, request_id: str, outside: Path) -> Path:
    """Answer with a path that leads out of the folder."""
    return _written(sent, [{"request_id": request_id, "path": os.path.relpath(outside, sent)}])


def _written(sent: Path, lines: list[dict[str, str]]) -> Path:
    (sent / "answers.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return sent


def spoil(answer: Path, image: str, request_id: str) -> None:
    """Name a file that is not there."""
    lines = [json.loads(line) for line in (answer / "answers.jsonl").read_text().splitlines()]
    wrong = [{"request_id": request_id, "path": "lost.png"}]
    _written(answer, [line for line in lines if line["request_id"] != request_id] + wrong)
