"""TypiClust picks the typical image of each planted cluster, those without a label first."""

import numpy as np
import pytest

from labelgrid.ledger.grid import State
from labelgrid.select import clusters
from labelgrid.select.strategies import typiclust
from labelgrid.select.strategies.typiclust import affordable_count, typicalities
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import grid_of

#: Images in clusters of 40, 30, 20 and 6, and two strays.
SIZES = [40, 30, 20, 6, 1, 1]
OF = np.repeat(np.arange(6), SIZES)


def made():
    rng = np.random.default_rng(4)
    centres = 50 * np.eye(6)
    return (centres[OF] + rng.normal(size=(len(OF), 6)) * rng.uniform(0.2, 1, (len(OF), 1))).astype(
        np.float32
    )


def pool(labelled=(), seed=0):
    state = np.zeros((len(OF), 2), np.int8)
    state[list(labelled)] = State.LABELLED
    return PoolView(
        grid=grid_of([f"i{n}" for n in range(len(OF))], state, ["a", "b"]),
        statistics={"features": made()},
        seed=seed,
    )


def picked(view, count, **options):
    found = typiclust.build(typiclust.Options(**options)).select(view, Budget(count, "images"))
    return list(dict.fromkeys(int(pick.cell.image_id[1:]) for pick in found.picks)), found


def slow_typicality(rows, neighbours, power=1):
    """Float64 loops over all pairs."""
    wide, found = rows.astype(np.float64), []
    for one in range(len(wide)):
        distances = sorted(
            float(np.linalg.norm(wide[one] - wide[two])) ** power
            for two in range(len(wide))
            if two != one
        )
        count = max(1, min(neighbours, len(wide) // 2))
        found.append(1 / (sum(distances[:count]) / count + 1e-5))
    return np.array(found)


@pytest.mark.parametrize("size, neighbours", [(2, 20), (7, 20), (60, 20), (600, 3)])
def test_typicality_is_that_of_slow_loops(size, neighbours):
    rows = np.random.default_rng(size).normal(size=(size, 4)) + 30
    np.testing.assert_allclose(
        typicalities(rows, neighbours), slow_typicality(rows, neighbours), rtol=1e-9
    )
    squares = typicalities(rows, neighbours, squared=True)
    np.testing.assert_allclose(squares, slow_typicality(rows, neighbours, power=2), rtol=1e-9)
    assert typicalities(rows[:1], neighbours).tolist() == [0.0]


def test_the_most_typical_images_of_the_largest_clusters_are_picked(monkeypatch):
    monkeypatch.setattr(typiclust, "k_means", lambda *_, **__: OF)
    images, found = picked(pool(), 4)
    best = [
        rows[slow_typicality(made()[rows], 20).argmax()]
        for rows in (np.flatnonzero(c == OF) for c in range(4))
    ]
    assert images == best
    assert [pick.score for pick in found.picks[::2]] == pytest.approx(
        found.terms["typicality"][images], rel=1e-12
    )
    assert found.terms["images like it"][images].tolist() == SIZES[:4]


def test_clusters_with_the_fewest_labelled_images_come_first_and_labelled_neighbours_do_not_count(
    monkeypatch,
):
    monkeypatch.setattr(typiclust, "k_means", lambda *_, **__: OF)
    labelled = [0, 1, 40]  # two of the largest cluster, one of the second
    images, found = picked(pool(labelled), 4)
    assert OF[images].tolist() == [2, 3, 1, 0]
    rows = np.flatnonzero(OF == 0)[2:]
    assert images[3] == rows[slow_typicality(made()[rows], 20).argmax()]
    assert found.terms["labelled like it"][images].tolist() == [0, 0, 1, 2]


def test_partly_labelled_images_count_as_labelled_and_come_last_in_their_cluster(monkeypatch):
    monkeypatch.setattr(typiclust, "k_means", lambda *_, **__: OF)
    view = pool()
    state = view.grid.state.copy()
    state[:10, 0] = State.LABELLED
    part = PoolView(
        grid=grid_of(list(view.grid.images), state, ["a", "b"]), statistics=view.statistics
    )
    images, found = picked(part, 98)
    rows = np.arange(10, 40)
    np.testing.assert_allclose(
        found.terms["typicality"][rows], slow_typicality(made()[rows], 20), rtol=1e-9
    )
    assert set(images[-12:-2]) == set(range(10)) and found.terms["labelled like it"][0] == 10


def test_small_clusters_wait_until_the_others_have_nothing_left(monkeypatch):
    monkeypatch.setattr(typiclust, "k_means", lambda *_, **__: OF)
    images, _ = picked(pool(), 98)
    assert len(images) == 98 and sorted(OF[images[96:]]) == [4, 5]
    assert OF[picked(pool(), 6, least=1)[0]].tolist() == [0, 1, 2, 3, 4, 5]


def test_small_clusters_are_dropped_as_in_the_released_code(monkeypatch):
    monkeypatch.setattr(typiclust, "k_means", lambda *_, **__: OF)
    images, _ = picked(pool(), 98, small="dropped", least=6)
    assert len(images) == 96 and set(OF[images]) == {0, 1, 2, 3}
    images, _ = picked(pool(), 98, small="dropped", least=7)
    assert len(images) == 90 and set(OF[images]) == {0, 1, 2}
    assert not picked(pool(), 98, small="dropped", least=41)[0]


def test_squared_distances_may_choose_other_images(monkeypatch):
    monkeypatch.setattr(typiclust, "k_means", lambda *_, **__: OF)
    rows = [np.flatnonzero(cluster == OF) for cluster in range(4)]
    for distance, power in (("euclidean", 1), ("squared", 2)):
        images, found = picked(pool(), 4, distance=distance)
        slow = [slow_typicality(made()[members], 20, power) for members in rows]
        assert images == [members[one.argmax()] for members, one in zip(rows, slow, strict=True)]
        assert [pick.score for pick in found.picks[::2]] == pytest.approx(
            [one.max() for one in slow]
        )


def test_the_number_of_clusters_is_that_of_labelled_images_and_picks(monkeypatch):
    counts = []
    whole = clusters.k_means
    monkeypatch.setattr(
        typiclust,
        "k_means",
        lambda f, k, count, seed: counts.append(count) or whole(f, k, count, seed),
    )
    picked(pool([0, 41, 42]), 5)
    picked(pool(), 50, most=7)
    assert counts == [8, 7]


def test_a_pool_without_a_missing_label_gives_no_picks():
    assert not picked(pool(range(98)), 5)[0]
    state = np.full((98, 2), State.SKIPPED)
    skipped = PoolView(
        grid=grid_of([f"i{n}" for n in range(98)], state, ["a", "b"]),
        statistics={"features": made()},
    )
    assert not picked(skipped, 5)[0]


def test_images_that_a_budget_pays_for():
    assert affordable_count(np.array([2.0, 2.0, np.inf]), 3.0) == 1
    assert affordable_count(np.array([2.0, 4.0]), 100.0) == 2
    assert (
        affordable_count(np.zeros(3), 1.0) == 3 and affordable_count(np.array([np.inf]), 1.0) == 0
    )


def test_clusters_depend_on_the_seed():
    found = [
        picked(pool(seed=seed), 12, most=12)[1].terms["images like it"].tolist()
        for seed in range(6)
    ]
    assert len({tuple(one) for one in found}) > 1


def test_an_image_without_features_is_left_out_whether_it_is_labelled_or_not():
    view = pool(labelled=[0])
    view.statistics["features"][[0, 1]] = np.nan
    images, found = picked(view, 97)
    assert sorted(images) == list(range(2, 98))
    assert np.isfinite(found.terms["typicality"]).all()
