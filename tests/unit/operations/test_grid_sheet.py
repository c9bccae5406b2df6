"""A sheet of a project shows what each cell holds, without a fault in the way."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.images.reading import read_image
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations import grid_sheet
from labelgrid.operations.grid_sheet import draw_sheet, spread
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.class_colours import class_colours
from tests.projects import make_project
from tests.support import CLASSES, Made

TASKS = ("semseg", "depth")


def labelled(folder: Path, *names: str) -> tuple[ProjectFolder, Made]:
    """A project of five images, the first two with these labels."""
    project, made = make_project(folder, n=5, holdout=0, tasks=TASKS)
    given = folder / "given"
    for name in names:
        path = given / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((made.root / "labels" / name).read_bytes())
    import_labels(project, given)
    return project, made


def test_the_images_with_labels_are_shown_beside_them(tmp_path: Path) -> None:
    project, made = labelled(tmp_path, "semseg/0000.png", "semseg/0001.png", "depth/0001.png")
    with project:
        drawn = draw_sheet(project, None, 12, Silent())
        label = project.tasks()["semseg"].read(made.root / "labels/semseg/0000.png")
        painter = grid_sheet._Painter(project, ["0000.jpg", "0001.jpg"])
        painter.measure(Silent())
        first = painter.row("0000.jpg")
        second = painter.row("0001.jpg")
    assert drawn.path == project.folder / "sheet.png"
    assert (drawn.shown, drawn.images, drawn.labelled) == (2, 2, True)
    sheet = read_image(drawn.path)
    classes = np.unique(label.value[label.valid])
    colours = class_colours(CLASSES)
    assert len(classes) and all((sheet == colours[index]).all(2).any() for index in classes)
    assert isinstance(first.photograph, np.ndarray) and isinstance(first.labels[0], np.ndarray)
    assert first.labels[1] == "no label"
    assert all(isinstance(picture, np.ndarray) for picture in second.labels)


def test_a_cell_without_a_label_says_why(tmp_path: Path) -> None:
    project, made = labelled(tmp_path, "semseg/0000.png")
    with project:
        project.store.move(
            [
                Move(
                    cell=Cell("0001.jpg", "semseg"), to=State.REQUESTED, round=1, request_id="r1-aa"
                ),
                Move(
                    cell=Cell("0001.jpg", "depth"), to=State.REQUESTED, round=1, request_id="r1-ab"
                ),
                Move(cell=Cell("0001.jpg", "depth"), to=State.SKIPPED, round=1, why="too dark"),
            ]
        )
        project.inside(next(iter(project.store.cells(state=State.LABELLED))).path).write_bytes(
            b"damaged"
        )
        (made.images / "0001.jpg").unlink()
        painter = grid_sheet._Painter(project, ["0000.jpg", "0001.jpg"])
        painter.measure(Silent())
        assert list(painter.row("0000.jpg").labels) == ["cannot be read", "no label"]
        gone = painter.row("0001.jpg")
        assert (gone.photograph, *gone.labels) == ("cannot be read", "requested", "skipped")
        assert draw_sheet(project, tmp_path / "all.png", 12, Silent()).shown == 1


def test_without_labels_photographs_are_shown_and_held_out_ones_are_named(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, n=5, holdout=2, tasks=TASKS)
    with project:
        drawn = draw_sheet(project, tmp_path / "sheet.png", 3, Silent())
        assert (drawn.shown, drawn.images, drawn.labelled) == (3, 5, False)
        heldout = [row.image_id for row in project.store.images(("heldout",))]
        row = grid_sheet._Painter(project, heldout).row(heldout[0])
        assert row.name == f"{heldout[0]} (held out)"
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width == 1400


def test_only_a_png_in_an_existing_folder_is_written(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, n=5, tasks=TASKS)
    with project:
        with pytest.raises(ProjectError, match="written as PNG"):
            draw_sheet(project, tmp_path / "sheet.jpg", 3, Silent())
        with pytest.raises(ProjectError, match="no such folder"):
            draw_sheet(project, tmp_path / "none/sheet.png", 3, Silent())


def test_names_are_spread_evenly() -> None:
    assert spread([str(number) for number in range(10)], 4) == ["0", "2", "5", "7"]
    assert spread([], 4) == []
