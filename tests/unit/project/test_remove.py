"""Laws of taking images out of a project: nothing sees them, their history stays, adding brings them back."""

from pathlib import Path

import pytest

from labelgrid.errors import ImageError, LedgerError
from labelgrid.labels.grid import SPLITS, Cell, Move, State
from labelgrid.labels.store import Store
from labelgrid.progress import Silent
from labelgrid.project import extend
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.remove import Removed, remove
from tests.campaigns import ask, cells_of, ledger
from tests.support import Made


def label(project: ProjectFolder, *cells: Cell) -> None:
    project.store.move([Move(cell, State.LABELLED, path="labels/x", digest="d", cost=2.0) for cell in cells])


def test_a_removed_image_is_gone_for_everything_but_the_history(project: ProjectFolder, data: Made) -> None:
    gone, other = data.names[:2]
    ask(project, [Cell(gone, "depth"), Cell(other, "depth")], number=1)
    label(project, Cell(gone, "semseg"))
    stamp, spent = project.store.pool_hash(), project.store.counts()["semseg"].spent
    assert remove(project, [gone]) == Removed(1, 1, 1)
    store = project.store
    assert [row.image_id for row in store.images()] == list(data.names[1:]) == list(store.grid(SPLITS).images)
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


def test_adding_a_removed_image_brings_it_back_with_its_labels(project: ProjectFolder, data: Made) -> None:
    gone = data.names[0]
    label(project, Cell(gone, "depth"))
    remove(project, [gone, data.names[1]])
    added = extend.add(project, [data.images], [], "full", Silent())
    assert (added.new, added.back) == (0, 2) and "2 are back with their labels" in str(added)
    assert {row.cell: row.state for row in project.store.cells()} == {Cell(gone, "depth"): State.LABELLED}


def test_a_removed_image_with_labels_comes_back_only_with_the_same_content(project: ProjectFolder, data: Made) -> None:
    gone = data.names[0]
    label(project, Cell(gone, "depth"))
    remove(project, [gone])
    (data.images / gone).write_bytes((data.images / data.names[1]).read_bytes())
    with pytest.raises(ImageError, match="changed on disk since they were added"):
        extend.add(project, [data.images], [], "full", Silent())
    assert project.store.removed("images") == [gone]


def test_a_ledger_made_before_images_could_be_removed_opens(project: ProjectFolder, tmp_path: Path) -> None:
    import sqlite3

    path = project.store.path
    names = [row.image_id for row in project.store.images()]
    project.close()
    with sqlite3.connect(path) as old:
        for table in ("images", "tasks"):
            old.execute(f"ALTER TABLE {table} DROP COLUMN removed")
        old.execute("UPDATE ledger_version SET version_num = '0001'")
    old.close()
    with Store.open(path) as store:
        assert [row.image_id for row in store.images()] == names and store.removed("images") == []


def test_cells_of_a_whole_pool_stay_in_place(project: ProjectFolder, data: Made) -> None:
    label(project, *cells_of(data))
    remove(project, data.names[:2])
    assert {row.cell.image_id for row in project.store.cells()} == {data.names[2]}
    assert project.store.counts()["depth"].labelled == 1
