"""Notes on cells: kept beside their events, and no change of a label."""

import pytest

from labelgrid import Project
from labelgrid.basics.errors import LedgerError, UsageError
from labelgrid.project.cells.cell_notes import MOST
from tests.pages import cell_in, labelled_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("notes"), n=5)


def test_notes_stay_with_their_cell_and_change_no_label(folder):
    cell = cell_in(folder, "labelled", "depth")
    with Project.open(folder) as project:
        before = project.cell(cell).history()
        project.cell(cell).note("  the mirror\nis wrong ")
        project.cell(cell).note("asked Ada")
    with Project.open(folder) as project:
        assert [note.text for note in project.cell(cell).notes()] == [
            "the mirror is wrong",
            "asked Ada",
        ]
        assert project.cell(cell_in(folder, "labelled", "normals")).notes() == []
        assert project.cell(cell).history() == before


@pytest.mark.parametrize("text", ["", "   ", "x" * 1001, "a\x00b", "\u202e"])
def test_a_note_is_one_paragraph_that_can_be_shown(folder, text):
    with (
        Project.open(folder) as project,
        pytest.raises(UsageError, match=r"Nothing was (noted|changed)"),
    ):
        project.cell(cell_in(folder, "requested")).note(text)


def test_a_cell_takes_so_many_notes_and_an_unknown_one_none(folder):
    cell = cell_in(folder, "missing")
    with Project.open(folder) as project:
        for number in range(MOST):
            project.cell(cell).note(str(number))
        with pytest.raises(UsageError, match="takes no more"):
            project.cell(cell).note("one more")
        with pytest.raises(LedgerError):
            project.cell("nothing:depth").note("x")
