"""ClaSP PE is its equations: shares of tasks and classes, log scores with Gumbel noise, an exponent that grows."""

import math

import numpy as np
import pytest

from labelgrid.basics.errors import PluginError, RecipeError
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.ledger.grid import State
from labelgrid.rounds.round_scores import check_expected_options
from labelgrid.select.explain import explain_picks
from labelgrid.select.parts import DRAWN
from labelgrid.select.strategies import clasp_pe
from labelgrid.select.strategy import Budget, PoolView, TrainedRound
from labelgrid.testing.strategies import grid_of

TASKS = ["depth", "semseg"]
N = 60


def pool(rounds=1, seed=0, **changed):
    """Semseg has four classes.

    Images 0 to 2 are the only ones unsure about class 3, and are hardly unsure at all.
    """
    rng = np.random.default_rng(0)
    by_class = np.zeros((N, 2, 4))
    by_class[:, 1, :3] = rng.uniform(0.2, 0.4, (N, 3))
    by_class[:, 1, 3] = 1e-6
    by_class[:3, 1] = [0.01, 0.01, 0.01, 0.05]
    unsure = np.stack([rng.normal(-2, 1, N), by_class[:, 1].sum(1)], 1)
    statistics = {
        "dropout": unsure,
        "class_entropy": by_class.reshape(N, 8).astype(np.float32),
    } | changed
    history = [
        TrainedRound(round=number + 1, labels={}, cost=0.0, val={}) for number in range(rounds)
    ]
    grid = grid_of([f"i{n}" for n in range(N)], np.zeros((N, 2)), TASKS, (1.0, 3.0))
    return PoolView(grid=grid, statistics=statistics, seed=seed, read_history=lambda: history)


def gumbel(view, row, column, *names):
    """Gumbel noise of a cell, from its definition."""
    salt = seed_of(view.seed, "power", TASKS[column], *names)
    return -math.log(-math.log(float(keyed_uniform(view.grid.keys[row : row + 1], salt)[0])))


def select(view, budget, **options):
    return clasp_pe.build(clasp_pe.Options(**options)).select(view, budget)


def test_the_exponent_grows_by_the_same_factor_in_each_round_and_then_stays():
    options = clasp_pe.Options(first_power=1, last_power=100, rounds=5)
    assert [round(options.power(r), 6) for r in (1, 2, 3, 4, 5, 6)] == [
        1.0,
        round(math.sqrt(10), 6),
        10.0,
        round(10 * math.sqrt(10), 6),
        100.0,
        100.0,
    ]
    assert clasp_pe.Options(rounds=1).power(1) == 1.0 and options.power(0) == 1.0


def test_scores_are_logarithms_with_gumbel_noise_divided_by_the_exponent():
    view = pool(rounds=3, seed=5)
    power = clasp_pe.Options().power(3)
    assert power == pytest.approx(40 ** (2 / 4))
    found = select(view, Budget(40))
    for pick in found.picks:
        row, column = int(pick.cell.image_id[1:]), TASKS.index(pick.cell.task)
        entropy = view.statistics["dropout"][row, column]
        by_class = view.statistics["class_entropy"].reshape(N, 2, 4)[row, column].astype(np.float64)
        logs = {(): math.log(entropy)} if column else {(): entropy}
        logs |= {(c,): math.log(by_class[c]) for c in range(4) if column}
        of_class = found.terms["class"][row, column]
        assert (of_class in range(4)) == (pick.why == "uncertain about one class")
        names = () if math.isnan(of_class) else (of_class,)
        noise = gumbel(view, row, column, *names) / power
        assert found.terms["noise"][row, column] == pytest.approx(noise, rel=1e-12)
        assert pick.score == pytest.approx(logs[names] + noise, rel=1e-12)
        assert found.terms["uncertainty"][row, column] == entropy
    assert (found.terms["exponent"] == power).all()


def test_the_noise_of_a_cell_that_is_not_picked_is_that_of_the_whole_tasks_order():
    view = pool(rounds=2, seed=3)
    found, picked = select(view, Budget(10)), set()
    for pick in found.picks:
        picked.add((int(pick.cell.image_id[1:]), TASKS.index(pick.cell.task)))
    for row, column in set(np.ndindex(N, 2)) - picked:
        noise = gumbel(view, row, column) / clasp_pe.Options().power(2)
        assert found.terms["noise"][row, column] == pytest.approx(noise, rel=1e-12)
        assert math.isnan(found.terms["class"][row, column])


def test_classes_have_no_quantiles_and_are_stored_for_the_picks_of_a_class_alone():
    view = pool()
    found = select(view, Budget(40))
    for pick, (terms, why) in zip(found.picks, explain_picks(found, view.grid), strict=True):
        assert ("class" in terms) == (pick.why == "uncertain about one class")
        assert set(why.quantiles) == {"uncertainty", "noise"} and set(why.without) == {
            "noise",
            "classes",
        }


def test_tasks_have_equal_numbers_and_two_thirds_of_a_class_tasks_are_by_class():
    found = select(pool(), Budget(40))
    whys = [pick.why for pick in found.picks if pick.cell.task == "semseg"]
    assert len(whys) == 20 and whys.count("uncertain about one class") == 13


def test_a_rare_class_is_found_that_entropy_does_not_find():
    wanted = {"i0", "i1", "i2"}

    def images(selection):
        return {pick.cell.image_id for pick in selection.picks if pick.cell.task == "semseg"}

    late = pool(rounds=9)
    found = images(select(late, Budget(40), last_power=1000.0))
    assert wanted <= found
    assert not wanted & images(select(late, Budget(40), last_power=1000.0, by_class=0.0))


def test_noise_spreads_early_picks_and_late_picks_are_the_most_uncertain():
    best = {f"i{row}" for row in np.argsort(-pool().statistics["dropout"][:, 0])[:10]}

    def kept(rounds):
        return np.mean(
            [
                len(
                    best
                    & {
                        p.cell.image_id
                        for p in select(pool(rounds, s), Budget(20)).picks
                        if p.cell.task == "depth"
                    }
                )
                for s in range(20)
            ]
        )

    assert kept(1) < kept(3) < kept(5) and kept(5) > 9


def test_a_task_that_has_learnt_nothing_is_drawn_at_random():
    view = pool()
    unsure = view.statistics["dropout"].copy()
    unsure[:, 1] = np.nan
    found = select(pool(dropout=unsure), Budget(10))
    assert [pick.why for pick in found.picks].count(DRAWN) == 5
    explaining = [found.terms["noise"], *found.without.values()]
    assert all(
        np.isnan(values[:, 1]).all() and np.isfinite(values[:, 0]).all() for values in explaining
    )
    assert {pick.cell.task for pick in found.picks if pick.why == DRAWN} == {"semseg"}
    assert all(pick.drawn == (pick.why == DRAWN) for pick in found.picks)


def test_cells_without_a_score_get_their_share_of_a_tasks_picks():
    unsure = pool().statistics["dropout"].copy()
    unsure[40:, 1] = np.nan
    whys = [
        pick.why
        for pick in select(pool(dropout=unsure), Budget(40)).picks
        if pick.cell.task == "semseg"
    ]
    assert len(whys) == 20 and whys.count(DRAWN) in (6, 7)


def test_without_class_tasks_each_task_gets_its_most_uncertain_cells():
    plain = np.zeros((N, 2), np.float32)
    found = select(pool(rounds=9, class_entropy=plain), Budget(4), last_power=1e6)
    unsure = pool().statistics["dropout"]
    wanted = {
        (f"i{row}", task) for c, task in enumerate(TASKS) for row in np.argsort(-unsure[:, c])[:2]
    }
    assert {(pick.cell.image_id, pick.cell.task) for pick in found.picks} == wanted


def test_only_missing_cells_count_and_a_task_without_any_leaves_its_share_to_others():
    view = pool()
    state = np.zeros((N, 2), np.int8)
    state[:, 1] = State.LABELLED
    part = PoolView(grid=grid_of(list(view.grid.images), state, TASKS), statistics=view.statistics)
    assert len(select(part, Budget(9)).picks) == 9


def test_the_exponent_grows_from_another_first_one_and_within_two_rounds():
    options = clasp_pe.Options(first_power=2, last_power=32, rounds=3)
    assert [options.power(r) for r in (1, 2, 3)] == pytest.approx([2, 8, 32])
    assert [clasp_pe.Options(rounds=2, last_power=9).power(r) for r in (1, 2)] == pytest.approx(
        [1, 9]
    )


def test_whose_turn_comes_first_and_random_draws_depend_on_the_seed():
    """Without noise to speak of, one pick shows the first task and the first class."""
    exact = {"first_power": 1e6, "last_power": 1e6}
    firsts = [
        select(pool(seed=seed), Budget(1), by_class=1.0, **exact).picks[0] for seed in range(40)
    ]
    assert {pick.cell.task for pick in firsts} == set(TASKS)
    assert len({pick.cell.image_id for pick in firsts if pick.cell.task == "semseg"}) > 1
    unknown = {"dropout": np.full((N, 2), np.nan)}
    drawn = {
        select(pool(seed=seed, **unknown), Budget(1)).picks[0].cell.image_id for seed in range(10)
    }
    assert len(drawn) > 3


def test_all_picks_of_a_class_task_may_be_class_by_class_or_none():
    for share, reasons in (
        (1.0, {"uncertain about one class"}),
        (0.0, {"most uncertain, with noise"}),
    ):
        picks = select(pool(), Budget(40), by_class=share).picks
        assert {pick.why for pick in picks if pick.cell.task == "semseg"} == reasons


def places(view, power, shares):
    """The place of each cell in the best of its orders, over the order's share of the picks, one cell at a time.

    Args:
        view: the pool.
        power: the exponent.
        shares: of semseg's picks, by what its orders are named: nothing for the whole task, or a
            class.
    """
    found = np.full((N, 2), np.inf)
    by_class = view.statistics["class_entropy"].reshape(N, 2, 4)[:, 1].astype(np.float64)
    for column, orders in enumerate(({(): 1.0}, shares)):
        for names, share in orders.items():
            unsure = by_class[:, names[0]] if names else view.statistics["dropout"][:, column]
            logs = np.log(unsure) if column else unsure
            scores = [
                log + gumbel(view, row, column, *names) / power for row, log in enumerate(logs)
            ]
            for row, score in enumerate(scores):
                place = 1 + sum(other > score for other in scores)
                found[row, column] = min(found[row, column], place / share)
    return -found


def test_ranks_without_noise_or_without_classes_keep_all_else():
    view = pool(rounds=2, seed=4)
    found, power = select(view, Budget(10)), clasp_pe.Options().power(2)
    by_class = {(each,): 0.66 / 4 for each in range(4)}
    wanted = {
        "noise": places(view, math.inf, {(): 0.34} | by_class),
        "classes": places(view, power, {(): 1.0}),
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found.without[name], values, rtol=1e-12)


def test_without_classes_the_ranks_are_those_of_the_strategy_without_them():
    view = pool(rounds=3)
    without = select(view, Budget(3)).without["classes"]
    for column, task in enumerate(TASKS):
        picks = [
            p.cell.image_id
            for p in select(view, Budget(2 * N), by_class=0.0).picks
            if p.cell.task == task
        ]
        assert picks == [f"i{row}" for row in np.argsort(-without[:, column])]


def test_without_noise_and_by_no_classes_the_ranks_are_those_of_the_uncertainty_within_the_task():
    view = pool()
    found = select(view, Budget(10), by_class=0.0)
    assert set(found.without) == {"noise"} and "class" not in found.terms
    for column in range(2):
        values = view.statistics["dropout"][:, column]
        assert (
            np.argsort(-found.without["noise"][:, column]).tolist() == np.argsort(-values).tolist()
        )


def test_a_place_counts_by_the_share_of_the_cells_that_have_an_uncertainty():
    unsure = pool().statistics["dropout"].copy()
    unsure[::2, 0] = np.nan
    without = select(pool(dropout=unsure), Budget(3)).without["noise"]
    assert sorted(-without[1::2, 0]) == list(range(2, N + 1, 2)) and np.isnan(without[::2, 0]).all()


def test_another_entropy_of_cells_takes_the_place_of_dropout():
    view, usual = pool(rounds=2), clasp_pe.build(clasp_pe.Options())
    strategy = clasp_pe.build(clasp_pe.Options(statistic="ensemble"))
    assert strategy.needs == {"ensemble", "class_entropy"} and usual.needs == {
        "dropout",
        "class_entropy",
    }
    other = pool(rounds=2, ensemble=view.statistics["dropout"], dropout=np.full((N, 2), np.nan))
    assert strategy.select(other, Budget(40)).picks == usual.select(view, Budget(40)).picks
    for statistic, chosen in (("ensemble", strategy), ("dropout", usual)):
        check_expected_options("Mine", chosen, {"statistics": {}})
        with pytest.raises(
            RecipeError, match=rf'Mine needs measure = "entropy" in \[score.{statistic}\]'
        ):
            check_expected_options(
                "Mine", chosen, {"statistics": {statistic: {"measure": "information"}}}
            )


def test_a_statistic_without_a_value_for_each_cell_is_refused():
    with pytest.raises(
        PluginError, match="reads the statistic 'class_entropy', which has no value for each cell"
    ):
        select(pool(), Budget(3), statistic="class_entropy")
