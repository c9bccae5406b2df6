"""Laws of listed initial cells: CSV files, ledgers and published splits are read, and ones that do not fit refused."""

import hashlib
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelgridError, RecipeError
from labelgrid.lab.simulation.arms import InitialLabels
from labelgrid.lab.simulation.cell_lists import listed_cells, read_cells
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.store import Store


def test_a_file_lists_cells_and_one_that_lists_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("image,task\nb.jpg,depth\na.jpg,semseg\nb.jpg,depth\n")
    assert read_cells(path) == [Cell("a.jpg", "semseg"), Cell("b.jpg", "depth")]
    for text, fault in (
        ("image,task\n", "lists no cell"),
        ("picture,task\na,b\n", "has no column 'image'"),
        ("image\na\n", "has no column 'task'"),
        ("", "has no column 'image'"),
        ("image,task\na.jpg,depth\nb.jpg\n", "Line 3 .* names no image or no task"),
        ("image,task\na.jpg,depth\n,depth\n", "Line 3 .* names no image or no task"),
        ("\udcff", "read"),
    ):
        path.write_text(text, errors="surrogateescape")
        with pytest.raises(RecipeError, match=fault):
            read_cells(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_cells(tmp_path / "nowhere.csv")


def make_ledger(folder: Path, *moves: Move) -> Path:
    """A project's ledger: training images a and b, a held-out image c."""
    folder.mkdir()
    with Store.create(folder / "labelgrid.db") as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_task(TaskRow("mask", "semseg", 1.0, {"classes": ["x", "y"]}))
        splits = {"a.jpg": "train", "b.jpg": "train", "c.jpg": "heldout"}
        store.add_images(
            ImageRow(image_id=name, root="photos", split=split) for name, split in splits.items()
        )  # type: ignore[arg-type]
        store.move(moves)
    return folder


def labelled(name: str, task: str) -> Move:
    return Move(cell=Cell(name, task), to=State.LABELLED, path="label.png")


LEDGER = InitialLabels(plan="ledger", file="flat")


def test_a_ledger_gives_the_labelled_cells_of_its_training_images_and_is_not_written(
    tmp_path: Path,
) -> None:
    asked = Move(cell=Cell("a.jpg", "mask"), to=State.REQUESTED, round=1, request_id="r1")
    moves = [
        labelled("b.jpg", "mask"),
        labelled("a.jpg", "depth"),
        labelled("c.jpg", "depth"),
        asked,
    ]
    folder = make_ledger(tmp_path / "flat", *moves)
    before = hashlib.sha256((folder / "labelgrid.db").read_bytes()).digest()
    assert listed_cells(LEDGER, tmp_path, ()) == [Cell("a.jpg", "depth"), Cell("b.jpg", "mask")]
    assert hashlib.sha256((folder / "labelgrid.db").read_bytes()).digest() == before


def test_a_folder_without_a_ledger_or_one_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"no ledger to start with.*\n.*folder of a project, or of a run"
    ):
        listed_cells(LEDGER, tmp_path, ())
    folder = make_ledger(tmp_path / "flat", labelled("c.jpg", "depth"))
    with pytest.raises(RecipeError, match="no label of a training image"):
        listed_cells(LEDGER, tmp_path, ())
    (folder / "labelgrid.db").write_bytes(b"something else" * 100)
    with pytest.raises(LabelgridError, match="not a labelgrid database"):
        listed_cells(LEDGER, tmp_path, ())
