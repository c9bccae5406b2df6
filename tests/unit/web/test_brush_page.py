"""The page with the brush: for labels that are drawn, and no others."""

import pytest

from labelgrid import Project
from labelgrid.errors import LedgerError, UsageError
from labelgrid.web.brush_page import brush_view
from labelgrid.web.predictions import Predictions
from tests.pages import cell_in, client_of, labelled_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("brush"))


def view_of(folder, cell):
    with Project.open(folder) as project:
        return brush_view(project, cell, Predictions())


def test_a_label_is_drawn_on_from_what_is_known_of_it(folder):
    cell = cell_in(folder, "labelled", "semseg")
    view = view_of(folder, cell)
    with Project.open(folder) as project:
        last = project.history(cell)[-1]["event"]
        names = list(project.tasks["semseg"].class_names)
    assert [layer.key for layer in view.layers] == ["label"] and view.seen == last
    assert [name for name, _ in view.regions] == names and view.erased == "not labelled"


def test_a_cell_that_nobody_asked_for_starts_blank(folder):
    view = view_of(folder, cell_in(folder, "missing", "semseg"))
    assert view.layers == [] and view.seen == 0


def test_measured_labels_and_unknown_cells_have_no_brush(folder):
    with pytest.raises(UsageError, match="measured, not drawn"):
        view_of(folder, cell_in(folder, "labelled", "depth"))
    with pytest.raises(LedgerError):
        view_of(folder, "nothing:semseg")
    with client_of(folder) as client:
        assert client.get("/brush", params={"cell": "nothing"}).status_code == 404
