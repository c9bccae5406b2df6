"""The model that learns while labelling: from the newest labels of training images alone, in memory."""

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import ModelError
from labelgrid.basics.progress import Silent
from labelgrid.operations.cancel import unlabel
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import query
from labelgrid.rounds.live_model import LiveModel, live_recipe
from labelgrid.select.strategy import Budget
from tests.projects import Said, answer, make_project

FROZEN = '[changes.backbone]\ntrain = "frozen"\n'


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr("labelgrid.rounds.live_model.STEPS", 20)


@pytest.fixture
def made(tmp_path):
    project, made = make_project(tmp_path, n=6, tasks=("semseg", "depth"))
    project.close()
    settings = project.folder / "labelgrid.toml"
    settings.write_text(settings.read_text() + FROZEN)
    with ProjectFolder.open(project.folder) as opened:
        yield opened, made


def label(made, count):
    project, images = made
    query.query(project, Budget(count, "images"), Silent(), strategy="random_images", new=True)
    answer(project, images)


def test_it_learns_newest_labels_and_only_of_training_images(made):
    project, _ = made
    model = LiveModel(project, Silent())
    assert not model.take() and not model.learns
    label(made, 2)
    before = {path: path.stat().st_mtime_ns for path in (project.folder / "rounds").rglob("*")}
    assert model.take() and model.learns and model.labels == 4
    assert not model.take()
    model.learn()
    weights = {name: value.clone() for name, value in model.network.state_dict().items()}
    assert model.losses.keys() == {"semseg", "depth"}
    while model.learns:
        model.learn()
    changed = [
        name
        for name, value in model.network.state_dict().items()
        if not torch.equal(value, weights[name])
    ]
    assert changed and not any(name.startswith("encoder.backbone") for name in changed)
    heldout = {row.image_id for row in project.store.images(("heldout",))}
    assert heldout and model.learnt_images.isdisjoint(heldout)
    assert before == {
        path: path.stat().st_mtime_ns for path in (project.folder / "rounds").rglob("*")
    }


def test_it_goes_on_from_its_own_weights_after_each_label(made):
    project, _ = made
    label(made, 1)
    model = LiveModel(project, Silent())
    model.take()
    model.learn()
    network = model.network
    label(made, 1)
    assert model.take() and model.labels == 4 and model.network is network
    first = model.network
    cell = next(cell for cell in model.source.labels if cell.image_id in model.learnt_images)
    unlabel(project, [f"{cell.image_id}:{cell.task}"])
    assert model.take() and model.network is first and model.labels == 3


def test_a_prediction_is_a_label_of_its_images_size(made, tmp_path):
    project, _ = made
    label(made, 2)
    model = LiveModel(project, Silent())
    model.take()
    model.learn()
    rows = list(project.store.images(("train",)))
    path = tmp_path / "out.png"
    model.predict(rows[0].image_id, {"semseg": path})
    read = project.tasks()["semseg"].read_prediction(path)
    assert read.size == (rows[0].height, rows[0].width)
    assert np.isin(read.value, range(4)).all()
    assert model.learnt == {"semseg", "depth"}


def test_an_unreadable_label_is_left_out_and_said(made):
    project, _ = made
    label(made, 2)
    said = Said()
    model = LiveModel(project, said)
    model.take()
    for cell, entry in model.source.labels.items():
        if cell.task == "semseg" and cell.image_id in model.learnt_images:
            entry.path.write_bytes(b"no picture")
            break
    model.learn()
    model.learn()
    assert len([line for line in said.lines if cell.image_id in line]) == 1
    assert cell.image_id not in model.learnt_images and model.losses and model.labels == 2


def test_with_another_recipe_the_heads_of_instant_learn_on_its_frozen_encoder(tmp_path):
    with make_project(tmp_path, n=4)[0] as project:
        settings = project.folder / "labelgrid.toml"
        text = "[changes.data]\nmean = [0.5, 0.5, 0.5]\n"
        settings.write_text(settings.read_text() + text)
    with ProjectFolder.open(project.folder) as project:
        recipe = live_recipe(project)
        assert recipe.data.mean == (0.5, 0.5, 0.5)
        assert (recipe.backbone.train, recipe.backbone.name) == ("frozen", "test_efficientnet")
        assert not recipe.backbone.pretrained and recipe.network.name == "shared_heads"


def test_missing_weights_are_a_sentence(made, tmp_path):
    project, _ = made
    settings = project.folder / "labelgrid.toml"
    text = settings.read_text().replace('weights = ""', 'weights = "gone"')
    settings.write_text(text.replace(FROZEN, f"{FROZEN}pretrained = true\n"))
    label(made, 1)
    with ProjectFolder.open(project.folder) as opened, pytest.raises(ModelError, match="missing"):
        LiveModel(opened, Silent()).take()
