"""Connects by JSON lines: writes requests.jsonl and images.

Reads answers.jsonl (labels in base64 or as paths, skips).

A line of answers.jsonl is one of

    {"request_id": ID, "label": BASE64, "extension": ".png"}
    {"request_id": ID, "path": PATH}                            below the folder of answers.jsonl
    {"request_id": ID, "skip": REASON}
"""

import base64
import binascii
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from labelgrid.annotate.answers import Answer, Answers, Fault, Skip
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.image_copies import copy_image
from labelgrid.annotate.matching import answer_file, cell_of, wrong_extension
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.basics import files
from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef

REQUESTS, ANSWERS = "requests.jsonl", "answers.jsonl"


class JsonLines:
    """A `labelgrid.annotate.connector.Connector` over JSON lines."""

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write `requests.jsonl`, best first, and the images it names."""
        with files.disk_errors(out):
            before = _images_before(out)
            files.remove_files(out, before - {f"images/{name}" for name in request.names.values()})
            files.write_text(
                out / REQUESTS, "".join(f"{json.dumps(_line(request, i))}\n" for i in request.items)
            )
            progress.start("Writing the request", len(request.images), "images")
            for image_id, source in sorted(request.images.items()):
                copy_image(source, out / "images" / request.names[image_id], link=link)
                progress.advance()

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the lines of `answers.jsonl`, given as the file or as its folder."""
        path = answer / ANSWERS if answer.is_dir() else answer
        if not path.is_file():
            raise LabelError(
                "There is no file of answers.",
                where=str(path),
                next_step="Answer into it, a line each.",
            )
        answers = Answers()
        lines = list(_lines(path, answers))
        requests = index.requests({line["request_id"] for _, line in lines})
        for where, line in lines:
            found = _answer(
                line,
                where,
                folder=path.parent,
                cell=cell_of(line["request_id"], where, requests),
                index=index,
            )
            kept: list[Any] = {Answer: answers.labels, Skip: answers.skips, Fault: answers.faults}[
                type(found)
            ]
            kept.append(found)
        if not (answers.labels or answers.skips or answers.faults):
            raise LabelError("There is no answer in the file.", where=str(path))
        return answers


build = JsonLines


def _line(request: Request, item: RequestItem) -> dict[str, object]:
    prelabel = request.prelabels.get(item.cell)
    return {
        "request_id": item.request_id,
        "image": f"images/{request.names[item.cell.image_id]}",
        "task": item.cell.task,
        "instructions": request.tasks[item.cell.task].describe(),
        "prelabel": base64.b64encode(prelabel.read_bytes()).decode() if prelabel else None,
    }


def _images_before(out: Path) -> set[str]:
    """The images of an earlier request in the folder."""
    if not out.exists() or (
        out.is_dir() and all(path.name.startswith(".") for path in out.iterdir())
    ):
        return set()
    try:
        return {
            str(json.loads(line)["image"])
            for line in (out / REQUESTS).read_text(encoding="utf-8").splitlines()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            "The folder is neither empty nor an earlier request.",
            where=str(out),
            unchanged="Nothing was written.",
        ) from error


def _lines(path: Path, answers: Answers) -> Iterator[tuple[str, dict[str, Any]]]:
    """The position and the content of each line with a request id; other lines are faults."""
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        where = f"{path.name} line {number}"
        try:
            line = json.loads(text)
            if text.strip() and isinstance(line["request_id"], str):
                yield where, line
                continue
        except (ValueError, KeyError, TypeError):
            pass
        answers.faults.append(
            Fault(where, "It is no JSON object with a request_id.", "Write it again.")
        )


def _answer(
    line: dict[str, Any], where: str, folder: Path, cell: Cell | Fault, index: ProjectIndex
) -> Answer | Skip | Fault:
    if isinstance(cell, Fault):
        return cell
    label, path, skip, extension = (line.get(key) for key in ("label", "path", "skip", "extension"))
    task = index.tasks[cell.task]
    if isinstance(skip, str):
        return Skip(cell, where, skip)
    if isinstance(path, str):
        found = answer_file(folder, path, where=where, cell=cell, task=task)
        return found if isinstance(found, Fault) else Answer(cell=cell, where=where, label=found)
    if isinstance(label, str) and isinstance(extension, str):
        return wrong_extension(f"x{extension}", where, cell, task) or Answer(
            cell=cell, where=where, label=partial(_decoded, label, extension, task)
        )
    return Fault(
        where,
        "It has neither a label with its extension, nor a path, nor a skip.",
        "Write it again.",
        cell,
    )


def _decoded(text: str, extension: str, task: TaskDef) -> LabelArray:
    with tempfile.TemporaryDirectory(prefix="labelgrid-") as folder:
        path = Path(folder, f"label{extension}")
        try:
            path.write_bytes(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise LabelError(
                f"The label is not base64: {error}.", next_step="Encode it again."
            ) from error
        return task.read(path)
