"""What tests of requests and answers share: a project over a made dataset, requests in it, answers to them."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.annotate.answers import ImportRefused
from labelgrid.images.reading import check_image
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, ImageRow, Move, Split, State, TaskRow, request_id
from labelgrid.ledger.store import Store
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings, settings_text
from tests.support import Made

DEPTH, NORMALS = TaskRow("depth", "depth", 2.0), TaskRow("normals", "normals", 1.0)
Make = Callable[..., ProjectFolder]


def make_project(
    folder: Path, made: Made, splits: dict[str, Split] | None = None, group: str = ""
) -> ProjectFolder:
    """A project over a made dataset, without labels and requests."""
    folder.mkdir(parents=True)
    (folder / "labelgrid.toml").write_text(settings_text(Settings(group=group)))
    with Store.create(folder / "labelgrid.db") as store:
        for row in made.rows:
            store.add_task(row)
        store.add_images(
            _row(made, name, (splits or {}).get(name, "train"), group) for name in made.names
        )
    return ProjectFolder.open(folder)


def _row(made: Made, name: str, split: Split, group: str) -> ImageRow:
    height, width, digest = check_image(made.images / name)
    return ImageRow(
        image_id=name,
        root=str(made.images),
        digest=digest,
        height=height,
        width=width,
        split=split,
        group=name.partition("/")[0] if group else "",
    )


def cells_of(made: Made) -> list[Cell]:
    """All cells, by image, then task."""
    return [Cell(name, row.name) for name in made.names for row in made.rows]


def ask(project: ProjectFolder, cells: Iterable[Cell], number: int = 0) -> None:
    """Request cells in a round, scored so that the first is the best.

    Rounds before it are opened and closed.
    """
    cells = list(cells)
    steps = [
        Move(
            cell=cell,
            to=State.REQUESTED,
            round=number,
            request_id=request_id(number, cell),
            cost=1.0,
            score=1 - i / 1000,
            weight=2.0,
            why="it",
        )
        for i, cell in enumerate(cells)
    ]
    while len(project.store.rounds()) < number - 1:
        project.store.close_round(project.store.open_round())
    if number > len(project.store.rounds()):
        project.store.close_round(project.store.open_round(), steps)
    else:
        project.store.move(steps)


def manifest(folder: Path) -> list[dict[str, Any]]:
    """The rows of a request's manifest."""
    rows: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())
    return rows


def fill(made: Made, folder: Path) -> None:
    """Answer all that a request asks for."""
    for row in manifest(folder):
        copy(made.label(row["image"], row["task"]), folder / row["path"])


def copy(source: Path, target: Path) -> Path:
    """Copy a file into a folder that is made where it must be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def states(project: ProjectFolder) -> dict[Cell, str]:
    """The cells that are not missing, and their states."""
    return {row.cell: row.state.name.lower() for row in project.store.cells()}


def ledger(project: ProjectFolder) -> list[tuple[object, ...]]:
    """All that happened, without the times."""
    return [(event.id, event.before, event.move) for event in project.store.events()]


def snapshot(project: ProjectFolder) -> tuple[object, ...]:
    """All that an import could change: events, cells, images, and every file of the project but the database's."""
    listing = {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for path in sorted(project.folder.rglob("*"))
        if path.is_file() and not path.name.startswith("labelgrid.db")
    }
    return ledger(project), list(project.store.cells()), list(project.store.images()), listing


def put(folder: Path, cell: Cell, pixels: np.ndarray) -> Path:
    """Write a label as `<task>/<image>.png` below a folder."""
    path = folder / cell.task / f"{cell.image_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def refusal(project: ProjectFolder, folder: Path, **options: object) -> ImportRefused:
    """The refusal of an import, which changed nothing."""
    before = snapshot(project)
    with pytest.raises(ImportRefused) as caught:
        import_labels(project, folder, **options)  # type: ignore[arg-type]
    assert snapshot(project) == before
    return caught.value


def held(project: ProjectFolder) -> list[str]:
    """The held-out images."""
    return [row.image_id for row in project.store.images(("heldout",))]
