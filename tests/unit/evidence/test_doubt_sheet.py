"""The picture of labels that look wrong: what is doubted of each image, and all images that belong together."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest

from labelgrid.drawings.label_sheet import SheetRow
from labelgrid.evidence import doubt_sheet
from labelgrid.evidence.doubt_sheet import DoubtedLabels, doubted_images
from labelgrid.evidence.doubts import Doubt
from labelgrid.imports.import_doubts import SHEET, DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from tests.campaigns import copy, make_project
from tests.support import Made, make_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Only read."""
    folder = tmp_path_factory.mktemp("sheet") / "made"
    return make_dataset(folder, n=12, size=(48, 64), tasks=("depth", "edges"))


@pytest.fixture
def project(made: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", made) as opened:
        yield opened


def labels_of(project: ProjectFolder, fresh: Sequence[str], earlier: Sequence[str]) -> Any:
    return DoubtedLabels(
        label_source=ProjectLabels(project),
        tasks=list(project.tasks()),
        fresh=fresh,
        earlier=earlier,
        imported={Cell(image_id, "depth") for image_id in fresh},
    )


def names(*numbers: int) -> list[str]:
    return [f"{number}.jpg" for number in numbers]


def test_images_that_a_doubt_notes_come_first_with_what_it_says(project: ProjectFolder) -> None:
    pair = {"7.jpg": "exchanged with 9.jpg", "9.jpg": "exchanged with 7.jpg"}
    doubts = [
        Doubt("depth", "the median depth is 0.003 m; expected 0.05 to 200 m. Check it."),
        Doubt("edges", "Two labels.", pair),
    ]
    labels = labels_of(project, names(*range(8)), names(9, 10, 11))
    assert doubted_images(labels, doubts) == {
        "7.jpg": "depth: the median depth is 0.003 m; edges: exchanged with 9.jpg",
        "9.jpg": "edges: exchanged with 7.jpg",
        "0.jpg": "depth: the median depth is 0.003 m",
        "1.jpg": "depth: the median depth is 0.003 m",
        "10.jpg": "imported before, to compare with",
        "11.jpg": "imported before, to compare with",
    }


def test_an_image_that_nothing_is_said_of_is_there_to_compare_with(project: ProjectFolder) -> None:
    doubts = [Doubt("depth", "One label.", {"3.jpg": "in another unit"})]
    found = doubted_images(labels_of(project, names(0, 3), []), doubts)
    assert found == {
        "3.jpg": "depth: in another unit",
        "0.jpg": "depth: of this import, to compare with",
    }


def test_no_pair_is_separated_however_many_there_are(project: ProjectFolder) -> None:
    doubts = []
    for task in range(5):
        notes = {f"{task}-{number}.jpg": "a pair" for number in range(6)}
        doubts.append(Doubt(f"task {task}", "Pairs.", notes))
    found = list(doubted_images(labels_of(project, names(0), []), doubts))
    assert found == [f"{task}-{number}.jpg" for task in (0, 1) for number in range(4)]


def test_both_images_that_one_file_is_the_label_of_are_drawn_with_the_reason(
    project: ProjectFolder, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[SheetRow] = []
    sheet = doubt_sheet.label_sheet

    def keep(title: str, rows: Sequence[SheetRow], *others: Any, **options: Any) -> bytes:
        drawn.extend(rows)
        return sheet(title, rows, *others, **options)

    monkeypatch.setattr(doubt_sheet, "label_sheet", keep)
    for name in made.names[:10]:
        copy(made.label(name, "depth"), tmp_path / "old" / "depth" / f"{name}.png")
    import_labels(project, tmp_path / "old")
    again = copy(
        made.label(made.names[8], "depth"), tmp_path / "new" / "depth" / f"{made.names[11]}.png"
    )
    with pytest.raises(DoubtedImport):
        import_labels(project, again.parents[1])
    first, second, *_ = drawn
    assert (first.name, second.name) == (made.names[8], made.names[11])
    same = "depth: its label is the same file as that of"
    assert (first.note, second.note) == (f"{same} {made.names[11]}", f"{same} {made.names[8]}")
    assert not any(isinstance(picture, str) for picture in (first.labels[0], second.labels[0]))
    assert cv2.imread(str(project.folder / SHEET)) is not None


def test_a_photograph_and_a_label_that_are_gone_are_said_in_their_places(
    made: Made, tmp_path: Path
) -> None:
    copied = Made(tmp_path / "made", made.names, made.rows)
    shutil.copytree(made.images, copied.images)
    with make_project(tmp_path / "gone", copied) as project:
        shutil.rmtree(copied.images)
        labels = labels_of(project, [made.names[0]], [])
        picture = doubt_sheet.draw_batch(labels, [Doubt("depth", "It is wrong.")])
    assert picture.startswith(b"\x89PNG")
