"""Laws of explanations: quantiles, ranks and nearest images are those that a slow independent version finds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelgrid.basics.errors import PluginError
from labelgrid.ledger.grid import Explanation, Grid, Pick, State
from labelgrid.select import explain
from labelgrid.select.explain import explain_picks, nearest_labelled_images, quantiles_of, ranks_of
from labelgrid.select.strategies import (
    clasp_pe,
    equal,
    partal,
    random_images,
    rbal,
    stratified,
    tcd,
    typiclust,
)
from labelgrid.select.strategy import Budget, PoolView, Selection, Strategy

NOT = Explanation()
values = st.one_of(st.integers(-2, 2).map(float), st.just(float("nan")))


def grid_of(state: Any) -> Grid:
    n, t = np.shape(state)
    keys = np.arange(n, 0, -1).astype(np.uint64)
    return Grid(
        images=[f"i{row}" for row in range(n)],
        keys=keys,
        tasks=[f"t{column}" for column in range(t)],
        state=np.array(state),
        cost=np.ones(t),
    )


@st.composite
def cases(draw: Any) -> tuple[Grid, np.ndarray, np.ndarray]:
    n, t = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    state = draw(st.lists(st.sampled_from([0, 0, 1, 2]), min_size=n * t, max_size=n * t))
    of_cells = draw(st.lists(values, min_size=n * t, max_size=n * t))
    of_images = draw(st.lists(values, min_size=n, max_size=n))
    return grid_of(np.reshape(state, (n, t))), np.reshape(of_cells, (n, t)), np.array(of_images)


def slow_quantile(own: float, others: list[float]) -> float:
    known = [value for value in others if value == value]
    if own != own or len(set(known)) < 2:
        return float("nan")
    return sum(1.0 if value < own else 0.5 if value == own else 0.0 for value in known) / len(known)


def slow_rank(own: float, others: list[float]) -> int:
    return 0 if own != own else 1 + sum(value > own for value in others)


@settings(deadline=None)
@given(cases())
def test_quantiles_and_ranks_are_those_of_the_definition(
    case: tuple[Grid, np.ndarray, np.ndarray],
) -> None:
    grid, of_cells, of_images = case
    missing = grid.state == 0
    rows, columns = np.nonzero(missing)
    in_task = [
        [of_cells[row, column] for row in range(len(missing)) if missing[row, column]]
        for column in columns
    ]
    all_cells, all_images = of_cells[missing].tolist(), of_images[missing.any(1)].tolist()
    own_cells, own_images = of_cells[rows, columns].tolist(), of_images[rows].tolist()
    np.testing.assert_allclose(
        quantiles_of(of_cells, grid, rows, columns),
        [slow_quantile(*pair) for pair in zip(own_cells, in_task, strict=True)],
    )
    np.testing.assert_allclose(
        quantiles_of(of_images, grid, rows, columns),
        [slow_quantile(own, all_images) for own in own_images],
    )
    assert ranks_of(of_cells, grid, rows, columns).tolist() == [
        slow_rank(own, all_cells) for own in own_cells
    ]
    assert ranks_of(of_images, grid, rows, columns).tolist() == [
        slow_rank(own, all_images) for own in own_images
    ]


def test_the_nearest_image_with_a_label_of_the_task_is_found_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explain, "PICKS", 3)
    monkeypatch.setattr(explain, "LABELLED", 4)
    draw = np.random.default_rng(0)
    state = draw.choice([0, 1, 2, 3], (60, 3), p=[0.5, 0.1, 0.3, 0.1])
    features = (draw.normal(size=(60, 5)) + 1e4).astype(np.float32)
    features[7] = np.nan
    grid = grid_of(state)
    picks = [Pick(cell=grid.cell(*cell), score=1.0) for cell in np.argwhere(state == 0).tolist()]
    exact = features.astype(np.float64)
    for pick, (image, distance) in zip(
        picks, nearest_labelled_images(features, grid, picks), strict=True
    ):
        row, column = int(pick.cell.image_id[1:]), int(pick.cell.task[1:])
        far = {
            f"i{k}": float(np.linalg.norm(exact[row] - exact[k]))
            for k in range(60)
            if state[k, column] == 2 and k != 7
        }
        if row == 7:
            assert image == "" and np.isnan(distance)
        else:
            assert image == min(far, key=far.__getitem__) and distance == pytest.approx(
                min(far.values())
            )


def test_of_equal_images_the_first_by_key_is_nearest_and_without_a_label_there_is_none() -> None:
    grid = grid_of([[0, 0], [State.LABELLED, 1], [State.LABELLED, 3]])
    picks = [Pick(cell=grid.cell(0, 0), score=1.0), Pick(cell=grid.cell(0, 1), score=1.0)]
    found = nearest_labelled_images(np.array([[0.0], [2.0], [2.0]]), grid, picks)
    assert found[0] == ("i2", 2.0) and found[1][0] == ""  # the keys fall from row to row


def test_a_task_without_labels_leaves_the_other_tasks_their_nearest_images() -> None:
    grid = grid_of([[0, 0], [1, State.LABELLED]])
    picks = [Pick(cell=grid.cell(0, 0), score=1.0), Pick(cell=grid.cell(0, 1), score=1.0)]
    found = nearest_labelled_images(np.array([[0.0], [2.0]]), grid, picks)
    assert found[0][0] == "" and found[1] == ("i1", 2.0)


@pytest.mark.parametrize(
    ("features", "distance"),
    [
        # The sum of a row and the square of its distance are too large for 16 bits.
        (np.array([[40000, 40000], [40256, 40000], [41000, 40000]], np.float16), 256.0),
        # The square of one mean for both columns is too large to leave the distance a digit.
        (np.array([[1e9, 0.0], [1e9, 0.25], [1e9, 0.5]]), 0.25),
    ],
)
def test_distances_are_exact_whatever_the_size_of_the_features(
    features: np.ndarray, distance: float
) -> None:
    grid = grid_of([[0], [State.LABELLED], [State.LABELLED]])  # of equal ones the last is first
    found = nearest_labelled_images(features, grid, [Pick(cell=grid.cell(0, 0), score=1.0)])
    assert found == [("i1", distance)]


def test_what_is_not_known_of_a_pick_is_left_out() -> None:
    grid = grid_of([[0], [0], [0]])
    picks = [Pick(cell=grid.cell(row, 0), score=1.0) for row in range(3)]
    column = np.array([[1.0], [np.nan], [3.0]])
    terms = {"unsure": column, "same": np.ones(3), "cluster": np.array([4, 4, 9])}
    (first, one), (unknown, two), (last, three) = explain_picks(
        Selection(picks=picks, terms=terms, without={"noise": column}), grid
    )
    assert (
        one == Explanation(quantiles={"unsure": 0.25}, rank=1, without={"noise": 2})
        and first["cluster"] == 4.0
    )
    assert two == NOT and list(unknown) == ["same", "cluster"]  # NaN is no JSON
    assert (
        three == Explanation(quantiles={"unsure": 0.75}, rank=3, without={"noise": 1})
        and last["same"] == 1.0
    )
    assert [found for _, found in explain_picks(Selection(picks=picks), grid)] == [NOT] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"terms": {"odd": np.ones(5)}},
        {"without": {"odd": np.ones((2, 1))}},
        {"scores": np.ones((3, 2))},
    ],
    ids=["terms", "without", "scores"],
)
def test_arrays_of_another_shape_are_refused_by_name(wrong: Mapping[str, Any]) -> None:
    name = "its scores" if "scores" in wrong else "odd"
    with pytest.raises(
        PluginError,
        match=rf"by '{name}', an array of shape.*\n.*\[3\].*\[3, 1\]. Nothing was requested",
    ):
        list(explain_picks(Selection(picks=[], **wrong), grid_of([[0], [0], [0]])))


def found_by(
    strategy: Strategy, budget: Budget, **statistics: np.ndarray
) -> dict[tuple[str, str], Explanation]:
    """The explanations of the picks from a pool without labels."""
    n = len(next(iter(statistics.values())))
    pool = PoolView(grid=grid_of(np.zeros((n, 2), np.int8)), statistics=statistics)
    selection = strategy.select(pool, budget)
    pairs = zip(selection.picks, explain_picks(selection, pool.grid), strict=True)
    return {(pick.cell.image_id, pick.cell.task): why for pick, (_, why) in pairs}


U = np.array([[0.0, 10.0], [1.0, 30.0], [0.9, 12.0]])


def test_partal_says_where_a_cell_would_be_without_normalisation() -> None:
    found = found_by(partal.build(partal.Options()), Budget(3), dropout=U)
    assert found["i1", "t0"] == Explanation(
        quantiles={"uncertainty": 2.5 / 3}, rank=1, without={"normalisation": 4}
    )
    assert found["i2", "t0"] == Explanation(
        quantiles={"uncertainty": 0.5}, rank=3, without={"normalisation": 5}
    )
    raw = found_by(partal.build(partal.Options(normalise="none")), Budget(3), dropout=U)
    assert all(
        why.rank == 0 and not why.without for why in raw.values()
    )  # one term is not taken apart


def test_whole_images_have_a_rank_without_each_task() -> None:
    found = found_by(
        rbal.build(rbal.Options()),
        Budget(1, "images"),
        dropout=np.array([[3.0, 1.0], [4.0, 2.0], [1.0, 3.0]]),
    )
    assert found["i1", "t0"].rank == 1 and found["i1", "t0"].without == {"t0": 2, "t1": 1}
    one = found_by(equal.build(equal.Options("t1")), Budget(1, "images"), flips=U)
    assert all(why.rank == 0 for why in one.values())  # its score is that of one task
    drawn = found_by(random_images.build(random_images.Options()), Budget(4), x=U)
    assert len(drawn) == 4 and all(why == NOT for why in drawn.values())


def test_tcd_says_where_an_image_would_be_by_each_of_its_two_terms() -> None:
    committee = np.array([[1.0, 1.0], [9.0, 9.0], [5.0, 5.0], [4.0, 4.0]])
    embedding = np.array([[0.0], [1.0], [3.0], [9.0]], np.float32)
    grid = grid_of([[2, 2], [0, 0], [0, 0], [0, 0]])
    pool = PoolView(grid=grid, statistics={"committee": committee, "embedding": embedding})
    selection = tcd.build(tcd.Options(normalise="none")).select(pool, Budget(1, "images"))
    why = next(iter(explain_picks(selection, grid)))[1]
    assert selection.picks[0].cell.image_id == "i3"
    assert why.rank == 1 and why.without == {"diversity": 3, "inconsistency": 1}


def test_strategies_of_groups_say_where_a_pick_would_be_without_them() -> None:
    features = np.array([[0.0], [0.1], [0.15], [9.0]], np.float32)
    clusters = found_by(
        typiclust.build(typiclust.Options(least=1)), Budget(2, "images"), features=features
    )
    assert {why.rank for why in clusters.values()} == {1, 2} and all(
        "clusters" in why.without for why in clusters.values()
    )
    strata = found_by(
        stratified.build(stratified.Options(by="features", clusters=2)),
        Budget(4, "images"),
        features=features,
    )
    assert sorted(why.without["strata"] for why in strata.values()) == [1, 1, 2, 2, 3, 3, 4, 4]
    noisy = found_by(
        clasp_pe.build(clasp_pe.Options()), Budget(6), dropout=U, class_entropy=np.zeros((3, 4))
    )
    assert noisy["i1", "t0"].without["noise"] == noisy["i1", "t1"].without["noise"] == 1
    assert noisy["i2", "t1"].without["noise"] == 3
    assert sorted(why.without["classes"] for why in noisy.values()) == [1, 1, 3, 3, 5, 5]
