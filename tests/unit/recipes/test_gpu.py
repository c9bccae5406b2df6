"""The recipes for a GPU start, train a step in their precision and write a model, on a CPU with random weights."""

from dataclasses import asdict

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.recipes.resolve import load_recipe
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from labelgrid.train.checkpoint import load
from tests.projects import answer, make_project

TINY = {
    "data": {"size": [64, 96]},
    "backbone": {"pretrained": False},
    "train": {"steps": 1, "batch": 2, "workers": 0, "device": "cpu"},
}


@pytest.mark.parametrize("name", ["gpu", "gpu-convnext"])
def test_a_recipe_for_a_gpu_trains_a_step_on_a_cpu_at_a_tiny_size(tmp_path, name):
    project, made = make_project(tmp_path, n=3, holdout=0, tasks=("depth", "semseg"))
    with project:
        query.query(project, Budget(3, "images"), Silent())
        answer(project, made)
        record = fit.fit(project, Silent(), recipe=name, changes=TINY)
        assert load(project.folder / record.checkpoint).step == 1


def test_the_convnext_differs_from_the_transformer_in_its_backbone_alone():
    vit = asdict(load_recipe("gpu"))
    convnext = asdict(load_recipe("gpu-convnext"))
    assert {key for key, value in vit.items() if value != convnext[key]} == {"backbone"}
