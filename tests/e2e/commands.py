"""Helpers of the end-to-end tests: run commands, and read the state of a project."""

import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from labelgrid.cli import main
from tests.databases import content, rows
from tests.laboratory import skip_without
from tests.support import Made


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def typed(*words: object) -> Done:
    """Run `labelgrid WORDS` in this process.

    An exception that a user would see as a traceback fails the test. A command of the laboratory
    skips the test where that is left out.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["labelgrid", *map(str, words)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            raise AssertionError("the command did not end with an exit status")
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    skip_without(err.getvalue())
    return Done(code, out.getvalue(), err.getvalue())


def done(*words: object) -> Done:
    """Run a command that must succeed."""
    result = typed(*words)
    assert result.code == 0, result.err
    return result


def refused(folder: Path, *words: object, code: int = 1) -> str:
    """Run a command that must be refused and must change nothing below the folder.

    Returns the error message.
    """
    before = state(folder)
    result = typed(*words)
    assert (result.code, result.out) == (code, ""), result
    assert state(folder) == before
    return said(result.err)


def said(err: str) -> str:
    """The error message, without progress bars."""
    assert "Traceback" not in err, err
    return err[err.index("Error: ") + len("Error: ") :].rstrip()


def state(folder: Path) -> tuple[dict[str, Any], ...]:
    """Everything below a folder: each file's content, and each ledger's rows instead of its bytes."""
    files: dict[str, Any] = {}
    ledgers: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name == "labelgrid.db":
            ledgers[name] = content(path)
        elif path.suffix not in (".db-wal", ".db-shm"):
            files[name] = path.read_bytes() if path.is_file() else "a folder"
    return files, ledgers


def manifest(request: Path) -> list[dict[str, Any]]:
    """The manifest of a request."""
    rows: list[dict[str, Any]] = json.loads((request / "manifest.json").read_text())
    return rows


def answer(request: Path, made: Made) -> None:
    """Write the made label of every requested cell to its expected path."""
    for row in manifest(request):
        path = request / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.label(row["image"], row["task"]).read_bytes())


def status(project: Path) -> dict[str, Any]:
    """The result of `status --json`."""
    values: dict[str, Any] = json.loads(done("status", project, "--json").out)
    return values


def task_words(made: Made) -> Iterator[str]:
    """The `--task` options of a made dataset; its `classes.txt` is in its root."""
    for row in made.rows:
        yield "--task"
        yield f"semseg:{made.root / 'classes.txt'}" if row.kind == "semseg" else row.name


def cells(project: Path, *states: str) -> set[tuple[str, str]]:
    """The (image, task) of the cells in some states, straight from the database."""
    names = ("missing", "requested", "labelled", "skipped")
    query = (
        "SELECT images.name, tasks.name FROM cells JOIN images ON images.id = image_id JOIN tasks ON tasks.id = task_id"
        f" WHERE state IN ({', '.join(str(names.index(state)) for state in states)})"
    )
    return {(image, task) for image, task in rows(project / "labelgrid.db", query)}


def held_out(project: Path) -> set[str]:
    """The held-out images, straight from the database."""
    query = "SELECT name FROM images WHERE split = 'heldout'"
    return {name for (name,) in rows(project / "labelgrid.db", query)}


def fixed(project: Path, strategy: str) -> Any:
    """The calibration that a strategy stored in the ledger."""
    query = "SELECT value FROM notes WHERE key LIKE ?"
    ((value,),) = rows(project / "labelgrid.db", query, f"fixed/{strategy}%")
    return json.loads(value)


def log(project: Path, number: int) -> list[dict[str, Any]]:
    """The epochs of a round's training."""
    lines: Iterable[str] = (
        (project / "rounds" / f"{number:04d}" / "fit" / "log.jsonl").read_text().splitlines()
    )
    return [json.loads(line) for line in lines]
