"""Distances to a centre: exact for features with a large mean, and bitwise the same in any order."""

import numpy as np
import pytest

from labelgrid.select import distances
from labelgrid.select.distances import squared_distances, unit_rows


@pytest.mark.parametrize("d", [1, 7, 512])
def test_distances_are_those_in_float64_also_far_from_the_origin(d, monkeypatch):
    monkeypatch.setattr(distances, "VALUES", 1000)
    features = (np.random.default_rng(0).normal(size=(300, d)) + 1e4).astype(np.float32)
    wide = features.astype(np.float64)
    expected = ((wide - wide[17]) ** 2).sum(1)
    found = squared_distances(features, 17)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(squared_distances(features[order], int(np.flatnonzero(order == 17)[0])), found[order])


def test_half_the_squared_distance_of_unit_rows_is_one_minus_the_cosine():
    features = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    wide = features.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    cosine = wide @ wide[3] / (lengths * lengths[3])
    np.testing.assert_allclose(squared_distances(unit_rows(features), 3) / 2, 1 - cosine, atol=1e-6)
    assert unit_rows(np.zeros((1, 2), np.float32)).tolist() == [[0, 0]]
