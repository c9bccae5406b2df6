"""Images are found by their labels: by a class that a label shows, as one that reads all would find them, and by suspicion."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.audit.label_shards import find_evidence
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.operations.cancel import unlabel
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.operations.undo import undo
from labelgrid.project import label_classes
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_order import image_orders, ordered_images
from labelgrid.project.label_filter import LabelFilter, find_images
from labelgrid.project.label_losses import label_losses, note_label_losses
from labelgrid.project.stored_labels import read_stored_label
from tests.campaigns import make_project
from tests.support import CLASSES, Made

COVERS = [
    "labelgrid.project.content_rows",
    "labelgrid.project.label_classes",
    "labelgrid.project.label_losses",
]
#: The classes of the labels of three images.
SHOWN = ((0, 1), (1, 2), (0, 3))
BALL = LabelFilter(shows="semseg:ball")


@pytest.fixture
def labelled(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project whose class maps show the classes of `SHOWN`; the last image is for measuring."""
    for name, classes in zip(data.names, SHOWN, strict=True):
        index = np.full((16, 24), classes[0], np.uint8)
        index[8:] = classes[1]
        Image.fromarray(index).save(data.label(name, "semseg"))
    with make_project(tmp_path / "shown", data, {data.names[2]: "heldout"}) as project:
        import_labels(project, data.labels, accept=True)
        yield project


def names(
    project: ProjectFolder, labels: LabelFilter, wanted: ImageFilter | None = None
) -> list[str]:
    found = find_images(project, wanted or ImageFilter(), labels)
    assert found.unread == 0
    return list(found.names)


@pytest.mark.parametrize("number", range(len(CLASSES)))
def test_a_class_finds_the_images_whose_labels_show_it_without_reading_one(
    labelled: ProjectFolder, data: Made, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = []
    task = labelled.tasks()["semseg"]
    for row in labelled.store.cells(state=State.LABELLED, task="semseg"):
        label = read_stored_label(labelled, row, task)
        if (label.value[label.valid] == number).any():
            expected.append(row.cell.image_id)
    monkeypatch.setattr(type(task), "read", None)
    assert names(labelled, LabelFilter(shows=f"semseg:{CLASSES[number]}")) == expected


def test_it_combines_with_the_other_filters(labelled: ProjectFolder, data: Made) -> None:
    wall = LabelFilter(shows="semseg:wall")
    first, second, third = data.names
    for wanted, expected in (
        (ImageFilter(), [first, third]),
        (ImageFilter(splits=("train",)), [first]),
        (ImageFilter(name=third), [third]),
        (ImageFilter(state=State.LABELLED, task="semseg"), [first, third]),
        (ImageFilter(state=State.REQUESTED), []),
        (ImageFilter(task="depth"), []),
        (ImageFilter(round=7), []),
        (ImageFilter(annotator="Ada"), []),
    ):
        assert names(labelled, wall, wanted) == expected
    paths = {row.cell: row.path for row in labelled.store.cells(state=State.LABELLED)}
    suspects = {cell: paths[cell] for cell in (Cell(first, "depth"), Cell(third, "semseg"))}
    among = LabelFilter(among=suspects)
    assert names(labelled, among) == [first, third]
    assert names(labelled, among, ImageFilter(task="depth")) == [first]
    assert names(labelled, among, ImageFilter(splits=("heldout",))) == [third]
    assert names(labelled, LabelFilter(shows="semseg:wall", among=suspects)) == [third]
    assert names(labelled, LabelFilter(among={Cell(second, "depth"): "labels/other.png"})) == []
    for wrong in ("semseg:bed", "depth:wall", "bed"):
        with pytest.raises(UsageError, match=f"no class '{wrong}'"):
            find_images(labelled, ImageFilter(), LabelFilter(shows=wrong))


def test_a_label_that_is_taken_back_or_undone_is_not_found(
    labelled: ProjectFolder, data: Made
) -> None:
    unlabel(labelled, [f"{data.names[2]}:semseg"])
    assert names(labelled, BALL) == []
    undo(labelled, Silent())
    assert names(labelled, BALL) == [data.names[2]]


def test_what_is_not_known_is_counted_and_an_audit_reads_it(
    labelled: ProjectFolder, data: Made
) -> None:
    path = labelled.folder / label_classes.FOLDER / "semseg.bin"
    whole = path.read_bytes()
    for damage in (b"", b"\n", b'{"width": -16}\n', b"[]\n", whole[:-1], whole[:9]):
        path.write_bytes(damage)
        found = find_images(labelled, ImageFilter(), BALL)
        assert (list(found.names), found.unread) == ([], 3)
    find_evidence(labelled, Silent())
    assert names(labelled, BALL) == [data.names[2]]


def test_another_declaration_is_another_meaning_but_a_new_class_at_the_end_is_not(
    labelled: ProjectFolder, data: Made
) -> None:
    more = TaskChange({}, classes=[f"more {number}" for number in range(9)])
    change_task(labelled, "semseg", more, Silent())
    assert names(labelled, BALL) == [data.names[2]]
    assert names(labelled, LabelFilter(shows="semseg:more 8")) == []
    merged = TaskChange({}, merge={"ball": "box"})
    change_task(labelled, "semseg", merged, Silent())
    box = LabelFilter(shows="semseg:box")
    assert find_images(labelled, ImageFilter(), box).unread == 3
    find_evidence(labelled, Silent())
    assert names(labelled, box) == list(data.names[1:])


def test_images_are_ordered_by_the_loss_of_a_label_that_has_not_changed_since(
    labelled: ProjectFolder, data: Made
) -> None:
    first, second, third = data.names
    rows = {row.cell: row for row in labelled.store.cells(state=State.LABELLED)}
    assert image_orders(labelled) == ["changed"]
    losses = {first: 0.5, second: 2.5, third: 1.5}
    by_content = {rows[Cell(name, "depth")].digest: loss for name, loss in losses.items()}
    note_label_losses(labelled, "depth", by_content)
    contents = [*by_content, "", "0" * 32]
    measured = label_losses(labelled, "depth", contents)
    assert measured[:3].tolist() == [0.5, 2.5, 1.5] and np.isnan(measured[3:]).all()
    assert image_orders(labelled) == ["changed", "loss/depth"]
    ordered = ordered_images(labelled, ImageFilter(), "loss/depth").names
    assert ordered == [second, third, first]
    unlabel(labelled, [f"{second}:depth"])
    wall = LabelFilter(shows="semseg:wall")
    assert ordered_images(labelled, ImageFilter(), "loss/depth").names == [third, first, second]
    assert ordered_images(labelled, ImageFilter(), "loss/depth", wall).names == [third, first]
    assert ordered_images(labelled, ImageFilter(), "changed", BALL).names == [third]
    with pytest.raises(UsageError, match="no order 'loss/semseg'"):
        ordered_images(labelled, ImageFilter(), "loss/semseg")
