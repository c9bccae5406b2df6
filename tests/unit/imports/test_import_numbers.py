"""What an import says of its labels: numbers of the new ones, classes that are new, remarks, and a picture."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.imports import import_picture
from labelgrid.imports.import_labels import DRY_PICTURE, PICTURE, import_labels
from labelgrid.imports.import_numbers import OCCURRED
from labelgrid.imports.imported import Found
from labelgrid.ledger.grid import Cell
from labelgrid.operations.cancel import unlabel
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.class_colours import class_colours
from tests.campaigns import make_project, put, refusal, snapshot
from tests.support import CLASSES, Made, make_dataset

COVERS = [
    "labelgrid.imports.import_numbers",
    "labelgrid.imports.import_picture",
    "labelgrid.imports.imported",
]


@pytest.fixture
def data(tmp_path: Path) -> Made:
    return make_dataset(
        tmp_path / "made", n=8, tasks=("semseg", "depth"), size=[(16, 24), (24, 16)]
    )


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", data) as project:
        yield project


def classes(folder: Path, data: Made, number: int, *indices: int) -> Path:
    """A class map of vertical stripes."""
    name = data.names[number]
    height, width = cv2.imread(str(data.images / name)).shape[:2]
    stripes = np.array(indices, np.uint8)[np.arange(width) * len(indices) // width]
    put(folder, Cell(name, "semseg"), np.tile(stripes, (height, 1)))
    return folder


def text(project: ProjectFolder, folder: Path, **options: Any) -> str:
    return str(import_labels(project, folder, accept=True, **options))


def test_an_import_says_what_its_labels_hold(project: ProjectFolder, data: Made) -> None:
    done = import_labels(project, data.labels)
    pixels = {name: [] for name in ("semseg", "depth")}  # type: dict[str, list[Any]]
    for name in data.names:
        for task in pixels:
            read = cv2.imread(str(data.label(name, task)), cv2.IMREAD_UNCHANGED)
            pixels[task].append(read.reshape(-1))
    index = np.concatenate(pixels["semseg"])
    depth = np.concatenate(pixels["depth"])
    labelled = index[index != 255]
    for number, name in enumerate(CLASSES):
        share = done.numbers["semseg"].values["shares"][name]
        assert share == pytest.approx((labelled == number).mean())
    values = done.numbers["depth"].values
    assert values["labels"] == 8
    assert values["median"] == pytest.approx(np.median(depth[depth > 0]) / 1000, rel=0.01)
    assert values["measured"] == pytest.approx((depth > 0).mean())
    lines = str(done).splitlines()
    assert lines[0].startswith("semseg: 8 new; 4 of 4 classes; wall ")
    assert lines[1].startswith("depth: 8 new; median ") and lines[1].endswith("measured.")
    assert lines[-1] == f"{project.folder / PICTURE} shows some of the new labels."


def test_known_labels_are_not_counted_again(project: ProjectFolder, data: Made) -> None:
    import_labels(project, data.labels)
    before = snapshot(project)
    again = import_labels(project, data.labels)
    assert (again.numbers, again.remarks, again.picture) == ({}, (), "")
    assert str(again) == "semseg: 8 unchanged.\ndepth: 8 unchanged."
    assert snapshot(project) == before


def test_a_class_is_new_once_and_nothing_is_new_in_the_first_import(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    assert "new here" not in text(project, classes(tmp_path / "1", data, 0, 0, 1))
    second = classes(classes(tmp_path / "2", data, 1, 0, 3), data, 2, 1)
    assert "; new here: ball." in text(project, second)
    assert "new here" not in text(project, classes(tmp_path / "3", data, 3, 3))


@pytest.mark.parametrize("content", [None, "", "[1]", '{"semseg": 3}', '{"semseg": {"names": []}}'])
def test_without_a_record_of_names_the_earlier_labels_are_read(
    project: ProjectFolder, data: Made, tmp_path: Path, content: str | None
) -> None:
    text(project, classes(classes(tmp_path / "1", data, 0, 0, 1), data, 1, 0))
    path = project.folder / OCCURRED
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert "; new here: box." in text(project, classes(tmp_path / "2", data, 2, 0, 1, 2))
    assert json.loads(path.read_text())["semseg"]["occurred"] == ["box", "floor", "wall"]


def test_the_numbers_of_a_replaced_label_are_those_of_its_new_content(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    text(project, classes(tmp_path / "1", data, 0, 0, 1))
    done = text(project, classes(tmp_path / "2", data, 0, 0, 2), replace=True)
    assert "semseg: 1 replaced; 2 of 4 classes; " in done and "; new here: box." in done


def test_a_class_that_never_occurred_is_remarked_until_it_does(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    first = import_labels(project, classes(tmp_path / "1", data, 0, 0, 1))
    assert first.remarks == ("semseg: no label so far holds box, ball.",)
    second = import_labels(project, classes(tmp_path / "2", data, 1, 2), accept=True)
    assert "semseg: no label so far holds ball." in second.remarks
    third = import_labels(project, classes(tmp_path / "3", data, 2, 0, 3), accept=True)
    assert third.remarks == ()


def test_labels_of_one_class_and_constant_depth_are_remarked(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = classes(tmp_path / "flat", data, 0, 1)
    put(folder, Cell(data.names[0], "depth"), np.full((16, 24), 2000, np.uint16))
    remarks = import_labels(project, folder).remarks
    assert "semseg: all labelled pixels of the new labels are of one class, 'floor'." in remarks
    name = data.names[0]
    assert f"depth: 1 of 1 new label hold one value everywhere: {name}." in remarks


def test_the_picture_is_replaced_and_shows_the_colours_of_the_classes(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, data.labels)
    first = cv2.imread(str(project.folder / PICTURE))
    assert first.shape[1] == 1400
    assert all((first[..., ::-1] == colour).all(2).any() for colour in class_colours(CLASSES))
    text(project, classes(tmp_path / "one", data, 0, 3), replace=True)
    second = cv2.imread(str(project.folder / PICTURE))
    assert second.shape[0] < first.shape[0]


def test_the_same_labels_give_the_same_picture(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, data.labels)
    with make_project(tmp_path / "other", data) as other:
        import_labels(other, data.labels)
        assert (other.folder / PICTURE).read_bytes() == (project.folder / PICTURE).read_bytes()


def test_a_photograph_that_cannot_be_read_leaves_its_place_empty(
    project: ProjectFolder, data: Made
) -> None:
    for name in data.names:
        (data.images / name).unlink()
    assert import_labels(project, data.labels).picture


@pytest.mark.parametrize("error", [ZeroDivisionError("no ink"), MemoryError(), OSError(28, "full")])
def test_a_picture_that_cannot_be_drawn_is_said_and_the_labels_are_imported(
    project: ProjectFolder, data: Made, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise error

    monkeypatch.setattr(import_picture, "label_sheet", fail)
    done = import_labels(project, data.labels)
    assert done.picture == "" and type(error).__name__ in done.undrawn
    assert "There is no picture of the new labels: " in str(done)
    assert len(list(project.store.cells())) == 16


def test_a_picture_that_cannot_be_written_is_said(project: ProjectFolder, data: Made) -> None:
    (project.folder / PICTURE).mkdir()
    (project.folder / PICTURE / "kept").touch()
    done = import_labels(project, data.labels)
    assert done.undrawn and done.tasks["depth"].new == 8


def test_a_dry_run_says_all_that_an_import_does_and_changes_nothing_but_its_picture(
    project: ProjectFolder, data: Made
) -> None:
    before = snapshot(project)
    tried = import_labels(project, data.labels, dry_run=True)
    picture = project.folder / DRY_PICTURE
    assert tried.picture == str(picture) and picture.stat().st_size > 1000
    dry = picture.read_bytes()
    picture.unlink()
    assert snapshot(project) == before
    done = import_labels(project, data.labels)
    assert (tried.tasks, tried.numbers, tried.remarks) == (done.tasks, done.numbers, done.remarks)
    assert (project.folder / PICTURE).read_bytes() == dry
    assert str(tried).splitlines()[0] == "A folder of labels, 8 images, 16 labels."
    assert not picture.exists() and tried.refused == ""


def test_the_picture_of_a_dry_run_goes_with_the_next_import(
    project: ProjectFolder, data: Made
) -> None:
    import_labels(project, data.labels, dry_run=True)
    import_labels(project, data.labels)
    assert not (project.folder / DRY_PICTURE).exists()


def test_a_dry_run_lists_the_faults_of_the_import_and_the_numbers_of_the_rest(
    project: ProjectFolder, data: Made
) -> None:
    for name in data.names[:3]:
        data.label(name, "depth").write_bytes(b"no picture")
    tried = import_labels(project, data.labels, dry_run=True)
    refused = refusal(project, data.labels)
    assert tried.faults == refused.rows and len(tried.faults) == 3
    assert tried.refused == str(refused)
    assert tried.numbers["depth"].values["labels"] == 5


def test_a_dry_run_has_the_doubts_of_the_import_and_draws_no_sheet_of_them(
    project: ProjectFolder, data: Made
) -> None:
    for name in data.names:
        path = data.label(name, "depth")
        metres = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 1000
        cv2.imwrite(str(path), np.maximum(metres, 1).astype(np.uint16))
    before = snapshot(project)
    tried = import_labels(project, data.labels, dry_run=True)
    assert [fault.where for fault in tried.faults] == ["depth"]
    assert "The labels look wrong" in tried.refused and "--accept" in tried.refused
    (project.folder / DRY_PICTURE).unlink()
    assert snapshot(project) == before
    assert import_labels(project, data.labels, dry_run=True, accept=True).refused == ""


def test_a_dry_run_of_a_folder_without_labels_says_what_the_import_would(
    project: ProjectFolder, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    tried = import_labels(project, tmp_path / "none", dry_run=True)
    assert "There is no answer in the folder" in tried.refused and len(tried.faults) == 1


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Found(what="CVAT segmentation masks", images=20, labels=20, known=tuple("abcdefghijk")),
            "CVAT segmentation masks, 20 images, 11 labels by name: 11 known",
        ),
        (
            Found(what="labels of a tool", known=("car",), unknown=("bus",)),
            "Labels of a tool, 2 labels by name: 1 known, unknown: bus",
        ),
        (Found(what="a folder", images=1, labels=2), "A folder, 1 image, 2 labels"),
    ],
)
def test_what_was_found_is_one_line(found: Found, said: str) -> None:
    assert str(found) == said


def test_what_a_withdrawn_label_held_is_new_when_it_comes_again(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    text(project, classes(classes(tmp_path / "1", data, 0, 0, 1), data, 1, 0, 3))
    unlabel(project, [f"{data.names[1]}:semseg"])
    assert "; new here: ball." in text(project, classes(tmp_path / "2", data, 2, 3))
