"""Laws of taking images out of a project: nothing sees them, their history stays, and they can be restored."""

import dataclasses
from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError, LabelError, LedgerError
from labelgrid.basics.progress import Silent
from labelgrid.images.reading import check_image
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import SPLITS, Cell, Move, State
from labelgrid.operations import extend
from labelgrid.operations.cancel import unlabel
from labelgrid.operations.remove import Removed, Restored, remove, restore
from labelgrid.operations.task_change import TaskChange, change_task, drop_task, restore_task
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ask, cells_of, ledger
from tests.projects import Said
from tests.support import Made


def label(project: ProjectFolder, *cells: Cell) -> None:
    project.store.move(
        [
            Move(cell=cell, to=State.LABELLED, path="labels/x", digest="d", cost=2.0)
            for cell in cells
        ]
    )


def test_a_removed_image_is_gone_for_everything_but_the_history(
    project: ProjectFolder, data: Made
) -> None:
    gone, other = data.names[:2]
    ask(project, [Cell(gone, "depth"), Cell(other, "depth")], number=1)
    label(project, Cell(gone, "semseg"))
    stamp, spent = project.store.pool_hash(), project.store.counts()["semseg"].spent
    assert remove(project, [gone]) == Removed(1, 1, 1)
    store = project.store
    assert (
        [row.image_id for row in store.images()]
        == list(data.names[1:])
        == list(store.grid(SPLITS).images)
    )
    assert {row.cell for row in store.cells()} == {Cell(other, "depth")}
    assert store.find([Cell(gone, "depth")]) == {} and store.pool_hash() != stamp
    for splits in (None, ("train",)):
        count = store.counts(splits)["semseg"]  # type: ignore[arg-type]
        assert (count.missing, count.labelled, count.spent) == (2, 0, spent == 2.0 and 2.0)
    assert store.history(Cell(gone, "depth"))[-1].move.why == "image removed"
    assert store.history(Cell(gone, "semseg"))[-1].move.to == State.LABELLED
    assert store.rebuild() == 0 and store.removed("images") == [gone]
    with pytest.raises(LedgerError, match="The ledger has no image"):
        label(project, Cell(gone, "depth"))


def test_one_unknown_name_and_nothing_is_removed(project: ProjectFolder, data: Made) -> None:
    before = ledger(project)
    with pytest.raises(LedgerError) as caught:
        remove(project, [data.names[0], "x.jpg", "y.jpg"])
    assert str(caught.value) == (
        f"The project has no image 'x.jpg', 'y.jpg' ({project.folder}).\n"
        "  An image is named by its path below the folder that was given to `init` or `add`. Nothing was removed."
    )
    assert ledger(project) == before
    remove(project, [data.names[0]])
    with pytest.raises(LedgerError, match="The project has no image"):
        remove(project, [data.names[0]])


def test_adding_its_folder_leaves_a_removed_image_out_and_says_how_to_restore_it(
    project: ProjectFolder, data: Made
) -> None:
    gone, said = data.names[0], Said()
    remove(project, [gone])
    (data.images / gone).write_bytes(b"damaged")  # it is not read
    added = extend.add(project, [data.images], tasks=[], check="full", progress=said)
    assert (added.new, added.removed) == (0, 1) and "1 left out" in str(added)
    assert said.lines == [
        f"Left out, since 1 image was removed: {gone}. To bring one back: "
        f"labelgrid remove {project.folder} --restore {gone}"
    ]
    assert project.store.removed("images") == [gone]
    assert [row.image_id for row in project.store.images()] == list(data.names[1:])


def test_a_restored_image_has_its_labels(project: ProjectFolder, data: Made) -> None:
    gone = data.names[0]
    label(project, Cell(gone, "depth"))
    remove(project, [gone, data.names[1]])
    with pytest.raises(
        LedgerError, match=f"no removed image '{data.names[2]}'.*\n.*Nothing was restored"
    ):
        restore(project, [gone, data.names[2]])
    done = restore(project, [gone, data.names[1]])
    assert done == Restored(2, 1) and str(done) == "Restored 2 images, with 1 label."
    assert {row.cell: row.state for row in project.store.cells()} == {
        Cell(gone, "depth"): State.LABELLED
    }
    assert project.store.removed("images") == []


def test_an_image_whose_labels_do_not_fit_today_s_declaration_is_not_restored(
    project: ProjectFolder, data: Made
) -> None:
    import_labels(project, data.labels)
    remove(project, data.names)
    change_task(project, "depth", TaskChange({"maximum": 0.001}), Silent())
    with pytest.raises(LabelError) as caught:
        restore(project, data.names[:2])
    assert str(caught.value).startswith(
        f"2 labels do not fit what the task declares today:\n    {data.names[0]}:depth: The largest value is"
    )
    assert str(caught.value).endswith(
        f"\n  Declare otherwise with `labelgrid task {project.folder} TASK`, or leave them out. Nothing was restored."
    )
    assert project.store.removed("images") == list(data.names)
    change_task(project, "depth", TaskChange({"maximum": None}), Silent())
    assert restore(project, data.names[:2]) == Restored(2, 4)


def test_a_task_whose_labels_do_not_fit_what_it_declares_is_not_restored(
    project: ProjectFolder, data: Made
) -> None:
    import_labels(project, data.labels)
    gone = data.names[0]
    remove(project, [gone])
    for name in data.names[1:]:
        unlabel(project, [f"{name}:depth"])
    change_task(project, "depth", TaskChange({"maximum": 0.001}), Silent())
    drop_task(project, "depth")
    restore(project, [gone])  # nothing sees its depth
    with pytest.raises(
        LabelError, match=rf"1 label does not fit(.|\n)*{gone}:depth(.|\n)*unchanged"
    ):
        restore_task(project, "depth")
    assert "depth" not in project.tasks()


def test_an_image_whose_label_file_is_damaged_is_restored_so_that_it_can_be_repaired(
    project: ProjectFolder, data: Made
) -> None:
    gone = data.names[0]
    import_labels(project, data.labels)
    next(project.folder.glob(f"labels/depth/{Path(gone).stem}*")).write_bytes(b"damaged")
    remove(project, [gone])
    assert restore(project, [gone]) == Restored(1, 2)


def test_a_restored_image_that_is_held_out_is_asked_for_again(
    project: ProjectFolder, data: Made
) -> None:
    gone = data.names[0]
    row = next(row for row in project.store.images() if row.image_id == gone)
    project.store.update_images([dataclasses.replace(row, split="heldout")])
    remove(project, [gone])
    restore(project, [gone])
    assert {row.cell.image_id: row.state for row in project.store.cells()} == {
        gone: State.REQUESTED
    }


def test_an_image_whose_copy_is_held_out_now_is_not_restored(
    project: ProjectFolder, data: Made
) -> None:
    gone, copy = data.names[:2]
    remove(project, [gone])
    known = {row.image_id: row for row in project.store.images()}
    digest = project.store.removed("images") and check_image(data.images / gone).digest
    project.store.update_images([dataclasses.replace(known[copy], split="heldout", digest=digest)])
    with pytest.raises(
        LedgerError, match=f"'{gone}' is of the split 'train', but '{copy}'.*is of 'heldout' now"
    ):
        restore(project, [gone])
    assert project.store.removed("images") == [gone]


def test_an_image_and_its_copy_that_were_put_in_different_splits_are_not_restored_together(
    project: ProjectFolder, data: Made
) -> None:
    one, copy = data.names[:2]
    known = {row.image_id: row for row in project.store.images()}
    digest = check_image(data.images / one).digest
    changed = [
        dataclasses.replace(known[one], digest=digest),
        dataclasses.replace(known[copy], split="heldout", digest=digest),
    ]
    project.store.update_images(changed)
    remove(project, [one, copy])
    with pytest.raises(
        LedgerError, match=f"'{one}' is of the split 'train', but '{copy}'.*is of 'heldout' now"
    ):
        restore(project, [one, copy])
    assert project.store.removed("images") == [one, copy]


def test_an_image_that_the_stride_of_a_task_does_not_divide_is_not_restored(
    project: ProjectFolder, data: Made
) -> None:
    (gone, *_) = data.names
    (row,) = (row for row in project.store.images() if row.image_id == gone)
    project.store.update_images([dataclasses.replace(row, height=row.height + 1)])
    remove(project, [gone])
    (task,) = (row for row in project.store.tasks() if row.name == "depth")
    project.store.update_task(dataclasses.replace(task, options={**task.options, "stride": 2}))
    with pytest.raises(ImageError, match="depth"):
        restore(project, [gone])
    assert project.store.removed("images") == [gone]


def test_cells_of_a_whole_pool_stay_in_place(project: ProjectFolder, data: Made) -> None:
    label(project, *cells_of(data))
    remove(project, data.names[:2])
    assert {row.cell.image_id for row in project.store.cells()} == {data.names[2]}
    assert project.store.counts()["depth"].labelled == 1
