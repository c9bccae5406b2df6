"""The label of one cell is imported with the checks of any import."""

import numpy as np
import pytest

from labelgrid import Project
from labelgrid.basics.errors import LabelError, UsageError
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import FAULTS
from tests.pages import cell_in, labelled_project


@pytest.fixture
def folder(tmp_path):
    return labelled_project(tmp_path)


def map_of(project, cell, value):
    """A class map of one class, of the size of the cell's image."""
    size = project.image(cell.rpartition(":")[0]).shape[:2]
    return LabelArray(np.full((*size, 1), value, np.int64), np.ones(size, bool))


@pytest.mark.parametrize("state", ["missing", "requested", "labelled"])
def test_the_label_is_that_of_the_cell_with_its_seconds(folder, state):
    with Project.open(folder) as project:
        cell = cell_in(folder, state, "semseg")
        label = map_of(project, cell, 1)
        done = project.cell(cell).import_label(
            lambda: label, seconds=12.5, annotator="Ada", hint="nothing", accept=True
        )
        last = project.cell(cell).history()[-1]
        assert np.array_equal(project.label(cell).value, label.value)
    assert (last["after"], last["seconds"], last["annotator"]) == ("labelled", 12.5, "Ada")
    assert last["hint"] == "nothing"
    assert done.tasks["semseg"].new + done.tasks["semseg"].replaced == 1


def test_a_file_is_imported_as_it_is(folder, tmp_path):
    with Project.open(folder) as project:
        cell = cell_in(folder, "labelled", "semseg")
        path = tmp_path / "mine.png"
        project.tasks["semseg"].write(path, map_of(project, cell, 2))
        project.cell(cell).import_label(path, accept=True)
        stored = folder / project.cell(cell).history()[-1]["path"]
    assert stored.read_bytes() == path.read_bytes()


def test_the_faults_of_a_refused_folder_stay_listed(folder):
    listed = folder / FAULTS
    listed.write_text("a.png: The file is empty.")
    cell = cell_in(folder, "labelled", "semseg")
    with Project.open(folder) as project:
        project.cell(cell).import_label(lambda: map_of(project, cell, 1), accept=True)
    assert listed.exists()


def test_a_wrong_label_is_refused_by_its_fault(folder, tmp_path):
    with Project.open(folder) as project:
        cell = cell_in(folder, "labelled", "semseg")
        before = project.cell(cell).history()
        small = LabelArray(np.zeros((4, 4, 1), np.int64), np.ones((4, 4), bool))
        with pytest.raises(LabelError, match="The label is 4x4"):
            project.cell(cell).import_label(lambda: small)
        text = tmp_path / "mine.jpg"
        text.write_text("no label")
        with pytest.raises(LabelError, match=r"not '\.jpg'"):
            project.cell(cell).import_label(text)
        with pytest.raises(UsageError, match=r"above 0 or None\. Found 0"):
            project.cell(cell).import_label(lambda: map_of(project, cell, 1), seconds=0)
        assert project.cell(cell).history() == before


def test_a_label_that_looks_wrong_is_refused_until_it_is_accepted(folder):
    cell = cell_in(folder, "labelled", "depth")
    with Project.open(folder) as project:
        true = project.label(cell)
        far = LabelArray(true.value / 1000, true.valid)
        with pytest.raises(DoubtedImport):
            project.cell(cell).import_label(lambda: far)
        project.cell(cell).import_label(lambda: far, accept=True)
