"""What tests of requests and answers share: a project over a made dataset, requests in it, answers to them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.annotate.answers import ImportRefused
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.testing.projects import ask, cells_of, ledger, make_project, snapshot, states
from tests.support import Made

__all__ = ["ask", "cells_of", "ledger", "make_project", "snapshot", "states"]

DEPTH, NORMALS = TaskRow("depth", "depth", 2.0), TaskRow("normals", "normals", 1.0)
Make = Callable[..., ProjectFolder]


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
