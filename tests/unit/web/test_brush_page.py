"""The page with the brush: for labels that are drawn, and no others."""

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LedgerError, UsageError
from labelgrid.project.other_labels import OtherLabel
from labelgrid.web.brush_page import brush_view
from labelgrid.web.image_page import ImageQuery, image_view
from labelgrid.web.predictions import Predictions
from tests.pages import cell_in, client_of, labelled_project, take_back


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return labelled_project(tmp_path_factory.mktemp("brush"))


def view_of(folder, cell):
    with ProjectReader.open(folder) as project:
        return brush_view(project, cell, Predictions())


def test_a_label_is_drawn_on_from_what_is_known_of_it(folder):
    cell = cell_in(folder, "labelled", "semseg")
    view = view_of(folder, cell)
    with ProjectReader.open(folder) as project:
        last = project.cell(cell).history()[-1]["event"]
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


def test_a_label_that_measures_starts_from_nothing_but_itself(tmp_path, monkeypatch):
    folder = labelled_project(tmp_path)
    with ProjectReader.open(folder) as project:
        rows = project.cells(state="labelled", task="semseg")
        heldout = next(row["image"] for row in rows if row["split"] == "heldout")
        training = next(row["image"] for row in rows if row["split"] == "train")
    guess = OtherLabel(
        key="prediction", name="newest", version="1", read=lambda: None, hint="model"
    )
    monkeypatch.setattr(Predictions, "of", lambda *_: guess)
    assert [layer.hint for layer in view_of(folder, f"{training}:semseg").layers] == [None, "model"]
    view = view_of(folder, f"{heldout}:semseg")
    assert [layer.key for layer in view.layers] == ["label"] and "held out" in view.purpose
    take_back(folder, f"{heldout}:semseg")
    assert view_of(folder, f"{heldout}:semseg").layers == []
    with ProjectReader.open(folder) as project:
        query = ImageQuery(image=heldout, shown="semseg")
        seen = image_view(project, query, Predictions())
        assert (seen.details.layers, seen.predictable) == (
            [],
            False,
        ) and "held out" in seen.details.purpose
        labelled = image_view(project, query.model_copy(update={"shown": "normals"}), Predictions())
        assert [layer.key for layer in labelled.details.layers] == ["label", "prediction"]


@pytest.mark.parametrize("picture", ["label", "values", "regions", "uncertainty"])
def test_no_address_shows_a_prediction_of_a_label_that_measures_and_is_not_there(
    tmp_path, monkeypatch, picture
):
    folder = labelled_project(tmp_path)
    guess = OtherLabel(key="prediction", name="newest", version="1", read=lambda: None)
    monkeypatch.setattr(Predictions, "of", lambda *_: guess)
    with ProjectReader.open(folder) as project:
        image = project.cells(task="semseg", split="heldout")[0]["image"]
    take_back(folder, f"{image}:semseg")
    with client_of(folder) as client:
        values = {"image": image, "task": "semseg"}
        values |= {} if picture == "uncertainty" else {"layer": "prediction"}
        answer = client.get(f"/picture/{picture}", params=values)
        assert answer.status_code == 404 and "before the label is there" in answer.json()["what"]
