"""Reads the initial cells that a plan lists: in a CSV file, a ledger or a published split."""

import csv
import io
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.files import read_bytes
from labelgrid.lab.simulation.arms import InitialLabels
from labelgrid.lab.simulation.published_splits import published_cells
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.place import LedgerPlace, project_place
from labelgrid.ledger.store import Store


def listed_cells(plan: InitialLabels, root: Path, pool: Collection[str]) -> list[Cell]:
    """Read the cells that a plan's file lists, ordered by image id, then task.

    Raises:
        RecipeError: the file is missing, is of another form, does not fit the pool, or lists no
            cell.
        LedgerError: a ledger cannot be read.
    """
    return _READERS[plan.plan](plan, root, pool)


def read_cells(path: Path) -> list[Cell]:
    """Read the cells that a CSV file lists.

    Raises:
        RecipeError: the file is missing, is not CSV with the columns image and task, or lists no
            cell.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline=""))
        rows = [(reader.line_num, row) for row in reader]
        names = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _no_cells(path, f"The file of initial cells cannot be read: {error}.") from error
    absent = [name for name in ("image", "task") if name not in names]
    if absent:
        raise _no_cells(path, f"The file of initial cells has no column '{absent[0]}'.")
    if not rows:
        raise _no_cells(path, "The file of initial cells lists no cell.")
    for line, row in rows:
        if not (row["image"] and row["task"]):
            raise _no_cells(
                path, f"Line {line} of the file of initial cells names no image or no task."
            )
    return sorted({Cell(row["image"], row["task"]) for _, row in rows})


def _no_cells(path: Path, fault: str) -> RecipeError:
    next_step = "Give a CSV file below the data set's root whose first line is image,task."
    return RecipeError(fault, where=path, next_step=next_step, unchanged="Nothing was run.")


def _ledger_cells(plan: InitialLabels, root: Path, _: Collection[str]) -> list[Cell]:
    location = project_place(root / plan.file)
    if isinstance(location, Path) and not location.is_file():
        raise _nothing_to_start_with("ledger", location)
    with Store.open(location, read_only=True) as store:
        cells = [row.cell for row in store.cells(state=State.LABELLED, splits=("train",))]
    if not cells:
        raise _nothing_to_start_with("label of a training image", location)
    return cells


def _nothing_to_start_with(missing: str, location: LedgerPlace) -> RecipeError:
    return RecipeError(
        f"There is no {missing} to start with.",
        where=location,
        next_step="As initial.file give the folder of a project, "
        "or of a run of a study (STUDY/runs/RUN).",
        unchanged="Nothing was run.",
    )


_READERS: Mapping[str, Callable[[InitialLabels, Path, Collection[str]], list[Cell]]] = {
    "cells": lambda plan, root, _: read_cells(root / plan.file),
    "ledger": _ledger_cells,
    "published": published_cells,
}
