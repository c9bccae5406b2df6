"""Races of reads: between any two reads of a command, others change tasks, images and settings."""

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from labelgrid.basics.files import digest
from labelgrid.ledger.database import Database
from labelgrid.ledger.grid import State, TaskRow
from labelgrid.ledger.store import Store
from labelgrid.project.folder import ProjectFolder
from tests.e2e.commands import done, typed
from tests.torture.counting import Row
from tests.torture.projects import STEPS, Stages, make_stages

#: The tasks of the projects: two may follow from the third.
TASKS = ("semseg", "depth", "edges")
#: Commands beside those of `STEPS`: the stage that they start from, and their words.
READING = {
    "status": ("scored", "status ROOM/flat"),
    "status --json": ("scored", "status ROOM/flat --json"),
    "cells": ("imported", "cells ROOM/flat"),
    "log": ("imported", "log ROOM/flat"),
    "log of a cell": ("imported", "log ROOM/flat 0003.jpg:depth"),
    "advise": ("scored", "advise ROOM/flat"),
    "verify": ("imported", "verify ROOM/flat"),
    "audit": ("imported", "audit ROOM/flat"),
    "audit of shards": ("imported", "audit ROOM/flat --workers 2 --shard 3"),
    "duplicates": ("imported", "duplicates ROOM/flat"),
    "relate": ("imported", "relate ROOM/flat"),
    "sheet": ("imported", "sheet ROOM/flat --out ROOM/sheet.png"),
    "time": ("imported", "time ROOM/flat --own-recipe"),
    "export of all labels": ("imported", "export ROOM/flat --labels --out ROOM/all"),
    "export-model": ("plain", "export-model ROOM/flat --out ROOM/model.onnx"),
    "query that is tried": ("scored", "query ROOM/flat --budget 3 --dry-run"),
    "import that is tried": (
        "answered",
        "import ROOM/flat ROOM/flat/rounds/0001/request --dry-run",
    ),
    "request": ("new", "request ROOM/flat 0001.jpg:depth"),
    "skip": ("asked", "skip ROOM/flat ASKED"),
    "task that is shown": ("imported", "task ROOM/flat depth"),
    "dropped task": ("imported", "task ROOM/flat semseg --drop"),
    "images held out": ("new", "add ROOM/flat --holdout 1"),
    "restored task": ("dropped", "task ROOM/flat semseg --restore"),
    "changed task": ("imported", "task ROOM/flat depth --set scale=0.002"),
    "restored images": ("fewer", "remove ROOM/flat 0001.jpg --restore"),
}
WORDS = {
    **{name: (step.stage, step.words) for name, step in STEPS.items() if step.stage},
    **READING,
}


def _cost(cost: float) -> Callable[[Store], object]:
    return lambda store: store.update_task(TaskRow("depth", "depth", cost, _options(store)))


def _options(store: Store) -> Any:
    return next((row.options for row in store.tasks() if row.name == "depth"), {})


#: What others do, one after the other; after the last one all is as before the first.
CHANGES: tuple[Callable[[Store], object], ...] = (
    lambda store: store.remove("tasks", ["depth"]),
    lambda store: store.restore("tasks", ["depth"]),
    _cost(3.0),
    lambda store: store.remove("images", ["0003.jpg"]),
    lambda store: store.restore("images", ["0003.jpg"]),
    lambda store: store.remove("tasks", ["edges", "semseg"]),
    _cost(1.0),
    lambda store: store.restore("tasks", ["edges", "semseg"]),
)


#: Files that take long to read.
PICTURES = (".png", ".jpg", ".npy", ".exr", ".tiff")


@dataclass
class Others:
    """Changes a project before each read and each write of this process, one change each time.

    Args:
        flat: the project.
        phase: the first change.

    Attributes:
        reads: how many reads there were.
        held: what was done while a transaction of a reader was open.
    """

    flat: Path
    phase: int
    reads: int = 0
    held: set[str] = field(default_factory=set)
    _local: Any = field(default_factory=threading.local)
    _lock: Any = field(default_factory=threading.Lock)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        reading, writing = Database.reading, Database.writing

        @contextmanager
        def read(base: Database) -> Iterator[Any]:
            self._disturb(base)
            with reading(base) as connection, self._held_open(base):
                yield connection

        @contextmanager
        def write(base: Database, *words: Any, **named: Any) -> Iterator[Any]:
            self._disturb(base)
            with writing(base, *words, **named) as connection, self._held_open(base):
                yield connection

        with (
            patch.object(Database, "reading", read),
            patch.object(Database, "writing", write),
            watching(self),
        ):
            yield

    def opened(self, path: str) -> None:
        """Note who opens a picture while this thread's transaction is open."""
        if getattr(self._local, "open", 0) and path.endswith(PICTURES):
            self.held.add(_caller())

    def _disturb(self, base: Database) -> None:
        if base.is_writing() or getattr(self._local, "busy", False):
            return
        if base.place != self.flat / "labelgrid.db":
            return
        if getattr(self._local, "open", 0):
            self.held.add(_caller())
        with self._lock:
            self._local.busy = True
            try:
                with Store.open(base.place) as other:
                    CHANGES[(self.reads + self.phase) % len(CHANGES)](other)
                self.reads += 1
            finally:
                self._local.busy = False

    @contextmanager
    def _held_open(self, base: Database) -> Iterator[None]:
        self._local.open = getattr(self._local, "open", 0) + 1
        try:
            yield
        finally:
            self._local.open -= 1


#: Not the callers that are meant.
_BENEATH = ("labelgrid.ledger", "labelgrid.cli", "labelgrid.basics.files", "labelgrid.formats")
#: What may be done while a reader's transaction is open: `cells` writes its rows as it reads them, of which there may be millions.
HELD = {
    "project.cells.cell_table._with_cells < project.cells.cell_table._rows",
    "project.cells.cell_table._with_cells < project.cells.cell_table._rows < api.door.checked",
}
_WATCHING: list[Others] = []


@contextmanager
def watching(others: Others) -> Iterator[None]:
    """Tell which files this process opens."""
    if not _WATCHING:
        sys.addaudithook(_audit)
    _WATCHING[:] = [others]
    try:
        yield
    finally:
        _WATCHING[:] = [Others(Path(), 0)]


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes | Path) and _WATCHING:
        _WATCHING[0].opened(os.fsdecode(arguments[0]))


def _caller() -> str:
    """The functions of the package that are at work, the innermost last, without the ledger's."""
    frame, names = sys._getframe(2), []
    while frame:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("labelgrid.") and not name.startswith(_BENEATH):
            names.append(f"{name.removeprefix('labelgrid.')}.{frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(names[:3])


def faults(flat: Path) -> Iterator[str]:
    """What is wrong with a project that was changed while a command worked."""
    with ProjectFolder.open(flat) as project:
        if project.store.rebuild():
            yield "the cells are not those of the events"
        for row in project.store.cells(state=State.LABELLED):
            if digest(project.inside(row.path)) != row.digest:
                yield f"the label of {row.cell} is not the imported one"


def words_of(name: str, stages: Stages, room: Path) -> list[str]:
    """The words of a command on the project in a folder."""
    if name in STEPS:
        return [word.replace("edges", "normals") for word in stages.words(name, room)]
    text = WORDS[name][1]
    if "ASKED" in text:
        with ProjectFolder.open(room / "flat") as project:
            row = next(iter(project.store.cells(state=State.REQUESTED)))
        text = text.replace("ASKED", f"{row.cell.image_id}:{row.cell.task}")
    return text.replace("ROOM", str(room)).split()


def disturbed(stages: Stages, name: str, room: Path, phase: int) -> tuple[str, str, Others]:
    """How a command ends that is disturbed before each of its reads, and what is to say of it."""
    stage = WORDS[name][0]
    flat = stages.room(stage.replace("dropped", "imported"), room) / "flat"
    if stage == "dropped":
        done("task", flat, "semseg", "--drop")
    words = words_of(name, stages, room)
    others = Others(flat, phase)
    try:
        with others.at_work():
            end = typed(*words)
    except Exception as error:  # noqa: BLE001 what a user would see as a traceback
        return "traceback", f"{name}, {phase}: {error!r}", others
    note = f"{name}, {phase}: {end.code} {end.err[-300:]} {[*faults(flat)]}"
    if any(True for _ in faults(flat)):
        return "lost", note, others
    if "Traceback" in end.err or end.code not in (0, 1, 2):
        return "traceback", note, others
    return "refused" if end.code else "right", note, others


def make(folder: Path) -> Stages:
    """The projects to disturb; `plain` has the network that is exported soonest."""
    stages = make_stages(folder, TASKS)
    room = stages.room("imported", folder / "stages/plain")
    done("fit", room / "flat", "--set", "network.name=shared_heads")
    return stages


def races(folder: Path, count: int, seed: int) -> Row:
    """Disturb every command, beginning with each of `count` changes."""
    stages = make(folder / "raced")
    row = Row("tasks, images and settings changed between any two reads")
    for name in WORDS:
        for phase in range(count):
            outcome, note, _ = disturbed(
                stages, name, folder / "races", (phase + seed) % len(CHANGES)
            )
            row.count(outcome, note)
            shutil.rmtree(folder / "races", ignore_errors=True)
    return row
