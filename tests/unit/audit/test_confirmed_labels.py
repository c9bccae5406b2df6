"""Laws of confirmed labels: all or none are noted, and a label that replaces one is not."""

import pytest

from labelgrid.audit.confirmed_labels import CONFIRMED, confirm, confirmed_paths
from labelgrid.basics.errors import LedgerError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.operations.undo import undo
from labelgrid.project.folder import ProjectFolder
from tests.pages import labelled_project


@pytest.fixture
def labelled(tmp_path):
    with ProjectFolder.open(labelled_project(tmp_path)) as project:
        yield project


def test_a_confirmed_label_is_noted_by_its_file(labelled):
    first, second = list(labelled.store.cells(state=State.LABELLED))[:2]
    for row in (first, second, first):
        confirm(labelled, [f"{row.cell.image_id}:{row.cell.task}"])
    assert confirmed_paths(labelled) == {first.path, second.path}


def test_all_or_none_are_noted(labelled):
    right = next(labelled.store.cells(state=State.LABELLED)).cell
    open_one = next(labelled.store.cells(state=State.REQUESTED)).cell
    names = [f"{cell.image_id}:{cell.task}" for cell in (right, open_one)]
    with pytest.raises(LedgerError, match="requested"):
        confirm(labelled, names)
    assert confirmed_paths(labelled) == set()


@pytest.mark.parametrize("note", [{"a": 1}, [1], "path"])
def test_a_damaged_note_is_refused(labelled, note):
    labelled.store.put(CONFIRMED, note)
    with pytest.raises(LedgerError, match="is no list of names"):
        confirmed_paths(labelled)


def test_an_undo_goes_past_it(labelled):
    cell = next(labelled.store.cells(state=State.LABELLED)).cell
    before = undo(labelled, Silent(), dry_run=True).operation
    confirm(labelled, [f"{cell.image_id}:{cell.task}"])
    assert undo(labelled, Silent(), dry_run=True).operation == before
