"""Predictions of single images: made by the newest model, shown as a layer, and the oldest dropped."""

from dataclasses import replace

import pytest

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.project.settings import settings_text
from labelgrid.rounds import fit
from labelgrid.web.layers import layer_of
from labelgrid.web.predictions import Predictions, can_predict
from tests.pages import client_of, labelled_project
from tests.rounds import QUICK, labelled


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    project, _ = labelled(tmp_path_factory.mktemp("predicted"), n=6)
    settings = replace(project.settings, changes=QUICK)
    (project.folder / "labelgrid.toml").write_text(settings_text(settings))
    project.settings = settings
    with project:
        fit.fit(project, Silent())
        return project.folder


def test_the_prediction_of_a_chosen_image_is_a_layer_until_others_take_its_place(folder):
    predictions = Predictions(most=1)
    with ProjectReader.open(folder) as project:
        first, second = (row["image"] for row in project.cells(task="depth")[:2])
        cells = {image: project.cell(f"{image}:depth").key for image in (first, second)}
        assert can_predict(project) and predictions.of(project, cells[first]) is None
        predictions.make(project, first)
        layer = layer_of(project, cells[first], "prediction", predictions)
        assert layer.name == "newest prediction"
        assert layer.read().size == project.image_size(first)
        predictions.make(project, second)
        assert predictions.of(project, cells[first]) is None
        assert predictions.of(project, cells[second])


def test_a_button_predicts_and_the_picture_is_shown(folder):
    with ProjectReader.open(folder) as project:
        image = project.cells(task="semseg")[0]["image"]
    words = {"image": image, "task": "semseg", "layer": "prediction"}
    with client_of(folder) as client:
        assert client.get("/picture/label", params=words).status_code == 404
        form = {"image": image, "back": "/image?image=x"}
        assert client.post("/api/predictions", data=form).status_code == 303
        answer = client.get("/picture/label", params=words)
        page = client.get("/image", params={"image": image, "shown": "semseg"})
    assert answer.headers["content-type"] == "image/png"
    assert "newest prediction" in page.text


def test_without_a_model_nothing_is_predicted(tmp_path):
    with ProjectReader.open(labelled_project(tmp_path, n=5)) as project:
        image = project.cells()[0]["image"]
        assert not can_predict(project)
        with pytest.raises(ProjectError, match="no model yet"):
            Predictions().make(project, image)
