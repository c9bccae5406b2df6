"""K-means finds planted clusters, in any order of the rows."""

import numpy as np
import pytest

from labelgrid.basics.streams import stream
from labelgrid.select.clusters import ITERATIONS, k_means


def planted(offset=0.0):
    rng = np.random.default_rng(0)
    of = rng.integers(0, 6, 200)
    return (rng.normal(size=(6, 5)) * 30)[of] + rng.normal(size=(200, 5)) + offset, of


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_planted_clusters_are_found(offset):
    rows, of = planted(offset)
    found = k_means(rows.astype(np.float32), np.arange(200, dtype=np.uint64), 6, 1)
    assert len(set(zip(found.tolist(), of.tolist(), strict=True))) == 6


def test_planted_clusters_are_found_far_from_zero():
    rows, of = planted(np.array([1e9, 0.0, -1e9, 0.0, 1e7]))
    found = k_means(rows, np.arange(200, dtype=np.uint64), 6, 1)
    assert len(set(zip(found.tolist(), of.tolist(), strict=True))) == 6


def test_clusters_do_not_depend_on_the_order_of_the_rows_but_on_the_seed():
    rows, keys = np.random.default_rng(2).normal(size=(90, 4)), np.arange(90, dtype=np.uint64)
    found, order = k_means(rows, keys, 7, 0), np.random.default_rng(1).permutation(90)
    np.testing.assert_array_equal(k_means(rows[order], keys[order], 7, 0), found[order])
    assert (k_means(rows, keys, 7, 1) != found).any()


def test_there_are_no_more_clusters_than_different_rows():
    rows = np.repeat([[1.0], [5.0]], 4, 0)
    assert sorted(set(k_means(rows, np.arange(8, dtype=np.uint64), 5, 0).tolist())) == [0, 1]
    assert set(k_means(np.ones((3, 2)), np.arange(3, dtype=np.uint64), 2, 0).tolist()) == {0}
    assert k_means(np.ones((0, 2)), np.arange(0, dtype=np.uint64), 2, 0).tolist() == []


def test_clusters_do_not_depend_on_the_scale_of_the_features():
    rng = np.random.default_rng(3)
    features, keys = rng.normal(size=(60, 3)), np.arange(60, dtype=np.uint64)
    found = k_means(features, keys, 8, 1)
    assert len(set(found.tolist())) == 8
    for scale in (1e-4, 2.0**90):  # squares of the second one exceed float32
        np.testing.assert_array_equal(k_means(scale * features, keys, 8, 1), found)


def slow_k_means(features, count, seed):
    """Lloyd's algorithm from k-means++ seeds, row by row; the rows are in the order of their keys."""
    largest = np.abs(features - features.mean(0)).max()
    scale = 2.0 ** -np.floor(np.log2(largest) + 1)
    rows = ((features - features.mean(0)) * scale).astype(np.float32).astype(np.float64)
    draws = stream(seed, "clusters")
    centres = [rows[draws.integers(len(rows))]]
    while len(centres) < count:
        weights = [min(((row - centre) ** 2).sum() for centre in centres) for row in rows]
        rest = draws.random() * sum(weights)
        drawn = 0
        while rest >= weights[drawn]:
            rest -= weights[drawn]
            drawn += 1
        centres.append(rows[drawn])
    for iteration in range(ITERATIONS):
        nearest = [np.argmin([((row - centre) ** 2).sum() for centre in centres]) for row in rows]
        if iteration < ITERATIONS - 1:
            for number in set(nearest):
                members = [row for row, own in zip(rows, nearest, strict=True) if own == number]
                centres[number] = np.mean(members, 0)
    return nearest


@pytest.mark.parametrize(("count", "seed"), [(5, 0), (9, 1), (14, 4), (40, 5)])
def test_clusters_are_those_of_lloyds_algorithm_row_by_row(count, seed):
    features = np.random.default_rng(6).uniform(-300, 500, (250, 1 + count % 2))
    keys = np.arange(250, dtype=np.uint64)
    found = k_means(features, keys, count, seed)
    assert found.tolist() == slow_k_means(features, count, seed)


def test_a_cluster_that_loses_its_last_row_is_no_warning(recwarn):
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(30, 6)), 3, 0) + rng.normal(size=(90, 6)) * 1e-3
    for seed in range(5):
        k_means(features, np.arange(90, dtype=np.uint64), 40, seed)
    assert not recwarn.list
