"""Every statistic of `labelgrid.score` satisfies the laws of statistics.

For each law, a wrong one breaks it.
"""

from dataclasses import fields

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.round_scores import terms_of
from labelgrid.score.statistic import Statistic
from labelgrid.testing import statistics as laws

COVERS = ["labelgrid.testing.statistics"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return laws.dataset(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module", params=plugins.names("statistics"))
def case(request, made, tmp_path_factory):
    options = plugins.module("statistics", request.param).Options
    short = {"epochs": 2} if any(field.name == "epochs" for field in fields(options)) else {}
    statistic = build_plugin("statistics", PluginChoice(request.param, short), 0)
    return laws.trained_case(
        statistic, made, tmp_path_factory.mktemp("case"), terms_of(request.param)
    )


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_a_statistic_keeps_the_law(law, case):
    law(case)


class ByPlace(Statistic):
    axis = "image"

    def __call__(self, batch):
        return np.arange(float(len(batch.keys)))


class ByCompany(Statistic):
    axis = "image"

    def __call__(self, batch):
        return (batch.features.deepest - batch.features.deepest.mean(0)).mean((1, 2, 3)).numpy()


class OfAnotherAxis(Statistic):
    axis = "cell"

    def __call__(self, batch):
        return np.zeros(len(batch.keys))


class ReadsTheInvalid(Statistic):
    axis = "image"

    def __call__(self, batch):
        return batch.batch.targets["depth"].value.mean((1, 2, 3)).numpy()


class ReadsTheInvalidOfSuppliers(Statistic):
    axis = "image"

    def __call__(self, batch):
        return batch.supplier_labels["depth"].target.value.mean((1, 2, 3)).numpy()


class MovesBuffers(Statistic):
    axis = "image"

    def __call__(self, batch):
        network = batch.model.network.train()
        found = network.encode(batch.batch.images).deepest.mean((1, 2, 3)).numpy()
        network.eval()
        return found


class LeavesItTraining(Statistic):
    axis = "image"

    def __call__(self, batch):
        batch.model.network.train()
        return np.zeros(len(batch.keys))


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (ByPlace, laws.an_images_numbers_depend_on_the_image_alone),
        (ByCompany, laws.an_images_numbers_depend_on_the_image_alone),
        (OfAnotherAxis, laws.its_numbers_have_the_shape_of_its_axis),
        (ReadsTheInvalid, laws.what_lies_behind_invalid_pixels_changes_nothing),
        (ReadsTheInvalidOfSuppliers, laws.what_lies_behind_invalid_pixels_changes_nothing),
        (MovesBuffers, laws.the_model_is_left_as_it_was),
        (LeavesItTraining, laws.the_model_is_left_as_it_was),
    ],
)
def test_a_wrong_statistic_breaks_the_law(wrong, law, made, tmp_path):
    with pytest.raises(AssertionError):
        law(laws.trained_case(wrong(), made, tmp_path))
