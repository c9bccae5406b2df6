"""What the page of an image shows."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LedgerError
from labelgrid.web.image_page import ImageQuery, image_view
from labelgrid.web.predictions import Predictions
from tests.pages import cell_in, labelled_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("image"))


def view_of(folder, **query):
    with ProjectReader.open(folder) as project:
        return image_view(project, ImageQuery(**query), Predictions())


def test_a_labelled_task_is_shown_large_unless_another_is_asked_for(folder):
    image = cell_in(folder, "requested").rpartition(":")[0]
    view = view_of(folder, image=image)
    assert view.chosen == "semseg" and view.cell.state != "labelled"
    labelled = cell_in(folder, "labelled").rpartition(":")[0]
    assert view_of(folder, image=labelled, shown="normals").cell.task == "normals"


def test_a_cell_knows_its_last_event_and_the_colours_of_its_classes(folder):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    cells = {cell.task: cell for cell in view_of(folder, image=image).cells}
    assert cells["semseg"].seen == cells["semseg"].history[-1]["event"] > 0
    assert all(len(colour) == 7 for _, colour in cells["semseg"].classes)
    assert not cells["depth"].classes


@pytest.mark.parametrize("wrong", [{"image": "nothing"}, {"shown": "nothing"}])
def test_an_unknown_image_or_task_is_refused(folder, wrong):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    with pytest.raises(LedgerError):
        view_of(folder, **{"image": image, **wrong})


def test_what_can_be_drawn_has_a_brush_and_what_is_measured_a_unit(folder):
    image = cell_in(folder, "labelled").rpartition(":")[0]
    cells = {cell.task: cell for cell in view_of(folder, image=image).cells}
    assert cells["semseg"].drawable and not cells["depth"].drawable
    assert cells["depth"].unit == " m" and not cells["semseg"].unit


def test_a_wrong_recipe_hides_no_label(tmp_path):
    folder = labelled_project(tmp_path, n=5)
    image, _, task = cell_in(folder, "labelled").rpartition(":")
    (folder.parent / "tiny.toml").write_text("nothing = 1\n[relations.x]\ntrust = 2\n")
    view = view_of(folder, image=image, shown=task)
    assert view.details.problem and view.layer.key == "label"
