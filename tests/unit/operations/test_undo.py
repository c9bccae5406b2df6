"""Laws of undoing commands: projects are as before them, and what cannot be undone is named."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelError, LedgerError, ProjectError, StateError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.by_hand import request, skip
from labelgrid.operations.cancel import cancel, unlabel
from labelgrid.operations.remove import remove, restore
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.operations.undo import INSTEAD, UNDOABLE, foresee_undo, last_undoable, undo
from labelgrid.operations.verify import verify
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import open_requests
from tests.campaigns import Make, ask, cells_of, ledger, make_project, states
from tests.support import Made


def seen(project: ProjectFolder) -> tuple[object, ...]:
    """All that a command could change in the ledger but the history."""
    store = project.store
    images = [(row.image_id, row.split) for row in store.images()]
    requests = list(open_requests(project).items())
    return list(store.cells()), images, requests, store.counts(), store.pool_hash()


def test_an_import_is_undone_and_the_same_import_labels_the_same_cells_again(
    project: ProjectFolder, answered: Path
) -> None:
    before = seen(project)
    import_labels(project, answered)
    labelled = seen(project)
    files = sorted(project.folder.rglob("labels/**/*.*"))
    undone = undo(project, Silent())
    assert seen(project) == before
    assert (undone.operation.command, undone.cells) == ("import", {State.REQUESTED: 6})
    assert sorted(project.folder.rglob("labels/**/*.*")) == files
    assert {tally.new for tally in import_labels(project, answered).tasks.values()} == {3}
    assert seen(project)[:4] == labelled[:4]
    assert not verify(project, Silent()).faults


def test_an_import_with_a_split_gives_the_images_their_splits_back(
    project: ProjectFolder, data: Made
) -> None:
    before = seen(project)
    import_labels(project, data.root / "labels", split="val")
    assert {row.split for row in project.store.images()} == {"val"}
    undo(project, Silent())
    assert seen(project) == before


def test_images_are_not_put_in_another_split_than_their_group(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "flat", data, group="x") as project:
        import_labels(project, data.root / "labels", split="val")
        row = project.store.image("0000.jpg")
        twin = {**vars(row), "image_id": "twin.jpg"}
        project.store.add_images([type(row)(**twin)])
        before = seen(project)
        with pytest.raises(LedgerError, match=r"'0000\.jpg' is of the split 'train'") as caught:
            undo(project, Silent())
        assert caught.value.unchanged == "Nothing was undone." and seen(project) == before


def test_a_replaced_label_is_there_again_and_a_withdrawn_one_too(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, data.root / "labels")
    first = seen(project)
    other = tmp_path / "other/depth"
    other.mkdir(parents=True)
    (other / "0000.png").write_bytes((data.root / "labels/depth/0001.png").read_bytes())
    import_labels(project, other.parent, replace=True, accept=True)
    assert seen(project) != first
    undo(project, Silent())
    assert seen(project) == first
    unlabel(project, ["0000.jpg:depth"])
    undo(project, Silent())
    assert seen(project) == first and not verify(project, Silent()).faults


def test_an_undone_return_of_a_withdrawn_label_leaves_it_withdrawn(
    project: ProjectFolder, data: Made
) -> None:
    import_labels(project, data.root / "labels")
    unlabel(project, ["0000.jpg:depth"])
    before = seen(project)
    import_labels(project, data.root / "labels", replace=True)
    undo(project, Silent())
    assert seen(project) == before
    with pytest.raises(LabelError, match="was withdrawn"):
        import_labels(project, data.root / "labels")


def test_changes_by_hand_are_undone_one_after_the_other(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "flat", data, {"0000.jpg": "heldout"}) as project:
        import_labels(project, data.root / "labels", limit=1)
        was = [seen(project)]
        free = [f"{cell.image_id}:{cell.task}" for cell in cells_of(data)]
        free = [name for name in free if Cell(*name.split(":")) not in states(project)]
        request(project, free)
        was.append(seen(project))
        skip(project, free[:2], "too dark")
        was.append(seen(project))
        cancel(project, free[:1], requeue=True)
        was.append(seen(project))
        cancel(project)
        while was:
            undo(project, Silent())
            assert seen(project) == was.pop()
        assert project.store.rebuild() == 0


def test_a_dry_run_says_the_same_and_changes_nothing(project: ProjectFolder, data: Made) -> None:
    request(project, ["0000.jpg:depth"])
    before, events = seen(project), ledger(project)
    said = str(undo(project, Silent(), dry_run=True))
    assert said.startswith("Would undo request (operation 1, ")
    assert said.endswith("1 cell is as before: 1 missing.")
    assert (seen(project), ledger(project)) == (before, events)
    undone = undo(project, Silent())
    assert str(undone) == said.replace("Would undo", "Undid")
    assert undone.as_json()["cells"] == {
        "missing": 1,
        "requested": 0,
        "labelled": 0,
        "skipped": 0,
    }
    with pytest.raises(ProjectError, match="There is nothing to undo"):
        undo(project, Silent())


def test_the_first_operation_of_a_project_is_not_undone(make: Make) -> None:
    with make(holdout=2) as project:
        before = ledger(project)
        with pytest.raises(ProjectError, match=r"'init' .* which cannot be undone") as caught:
            undo(project, Silent())
        assert caught.value.next_step == INSTEAD["init"]
        assert caught.value.unchanged == "Nothing was undone." and ledger(project) == before


@pytest.mark.parametrize("name", [*INSTEAD, "", "my script"])
def test_operations_of_other_commands_are_not_undone(project: ProjectFolder, name: str) -> None:
    assert name not in UNDOABLE
    with project.store.transaction(name):
        project.store.move([Move(cell=Cell("0000.jpg", "depth"), to=State.REQUESTED)])
    before = ledger(project)
    with pytest.raises(ProjectError, match="cannot be undone"):
        undo(project, Silent())
    assert ledger(project) == before


def test_a_query_that_kept_nothing_is_not_undone(project: ProjectFolder, data: Made) -> None:
    with project.store.transaction("query"):
        ask(project, cells_of(data)[:2], number=1)
    with pytest.raises(ProjectError, match="made by an older labelgrid") as caught:
        undo(project, Silent())
    assert "cancel" in caught.value.next_step and "--round 1" in caught.value.next_step


def test_cells_of_a_removed_image_are_undone_after_its_return(
    project: ProjectFolder, data: Made
) -> None:
    before = seen(project)
    import_labels(project, data.root / "labels")
    remove(project, ["0000.jpg"])
    with pytest.raises(LedgerError, match=r"'0000\.jpg:\w+' was removed since") as caught:
        undo(project, Silent())
    assert caught.value.unchanged
    restore(project, ["0000.jpg"])
    undo(project, Silent())
    assert seen(project) == before


def test_a_label_that_no_longer_fits_its_task_does_not_come_back(
    project: ProjectFolder, data: Made
) -> None:
    import_labels(project, data.root / "labels")
    unlabel(project, [f"{name}:depth" for name in data.names])
    change_task(project, "depth", TaskChange({"maximum": 0.001}), Silent())
    before = seen(project)
    with pytest.raises(LabelError, match="do not fit what the task declares today"):
        undo(project, Silent())
    assert seen(project) == before


def test_the_last_operation_is_named_in_a_few_words(
    project: ProjectFolder, answered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert last_undoable(project) is None  # what requested the cells has no name
    import_labels(project, answered)
    named = last_undoable(project)
    assert named and named.text == "import (6 cells from requested to labelled)"
    assert foresee_undo(project) == undo(project, Silent(), dry_run=True)
    monkeypatch.setattr("labelgrid.operations.undo.MOST_COUNTED", 5)
    named = last_undoable(project)
    assert named and named.text == f"import ({named.operation.at})"
    number = named.operation.id
    with pytest.raises(StateError, match=rf"the last one is {number}: import") as caught:
        undo(project, Silent(), operation=number + 1)
    assert caught.value.unchanged == "Nothing was undone."
    assert undo(project, Silent(), operation=number).operation == named.operation
    with pytest.raises(StateError, match="is not the last one any more"):
        undo(project, Silent(), operation=number)
