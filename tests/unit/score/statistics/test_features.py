"""Pooled features are the mean of a map over the part that shows the image."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.data.frame import Frame
from labelgrid.score.statistics import features
from labelgrid.testing import statistics as laws


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return laws.dataset(tmp_path_factory.mktemp("pool"))


@pytest.mark.parametrize("name", ["fused", "deepest"])
def test_features_are_the_mean_of_the_map_without_padding(name, made, tmp_path):
    case = laws.trained_case(features.build(0, features.Options(map=name)), made, tmp_path)
    for batch in case.batches(case.names, 3):
        maps = {"fused": batch.features.shared, "deepest": batch.features.levels[-1]}[name]
        found = case.statistic(batch)
        assert found.dtype == np.float32 and found.shape == maps.shape[:2]
        for row, frame in enumerate(batch.batch.frames):
            rows, columns = frame.box(*maps.shape[-2:])
            part = maps[row][:, rows, columns].double().numpy()
            np.testing.assert_allclose(
                found[row], part.reshape(len(part), -1).mean(1), rtol=1e-5, atol=1e-6
            )


def test_padding_does_not_count(made, tmp_path):
    case = laws.trained_case(features.build(0, features.Options()), made, tmp_path)
    (batch,) = case.batches(case.names[:1], 1)
    upper = Frame((16, 64), (32, 64), (slice(0, 16), slice(0, 64)))
    padded = replace(batch, batch=replace(batch.batch, frames=(upper,)))
    found, shared = case.statistic(padded), batch.features.shared.numpy()
    np.testing.assert_allclose(found[0], shared[0, :, :4].mean((1, 2)), rtol=1e-5, atol=1e-6)
    assert not np.allclose(found, shared.mean((2, 3)))


def test_all_images_are_scored_and_the_default_is_the_fused_map():
    statistic = features.build(0, features.Options())
    assert (statistic.scope, statistic.axis, statistic.options.map) == ("all", "feature", "fused")
