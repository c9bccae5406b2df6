"""Laws of the networks that strategies end with: equal rounds, or equal cost, seed by seed."""

import math
from dataclasses import replace

import pytest

from labelgrid.basics.comparison import READINGS_DISAGREE, PairComparison
from labelgrid.lab.reports.campaign_measures import campaign_measures
from labelgrid.lab.reports.comparison_blocks import ending_table
from labelgrid.lab.reports.final_networks import (
    Ending,
    equal_cost_ending,
    last_round_ending,
    metrics_at_cost,
)
from labelgrid.lab.reports.means import ValueGetter, label_cost, metric_getter, total_loss
from labelgrid.report.page_blocks import DataTable
from tests.unit.report.made import HEADLINES, Effect, cheaper, planted, point_results


def values(ending: Ending, value_of: ValueGetter) -> dict[str, dict[int, float]]:
    """The values of the networks, by strategy and seed."""
    return {
        name: {seed: value_of(one) for seed, one in own.items()}
        for name, own in ending.networks.items()
    }


def test_the_last_networks_are_those_of_seeds_with_equal_rounds() -> None:
    whole = point_results(seeds=3)
    cut = [
        replace(r, measured=r.measured[:2]) if r.key == "partal-seed1" else r for r in whole.runs
    ]
    found = last_round_ending(replace(whole, runs=cut)).networks
    assert {name: sorted(own) for name, own in found.items()} == {
        "partal": [0, 2],
        "random_cells": [0, 2],
    }


def test_at_equal_cost_every_run_is_read_where_the_cheapest_ends() -> None:
    # from 110 on, partal's three rounds cost 55 in all, and those of random_cells 55 each
    found = equal_cost_ending(cheaper(point_results(), "partal", 1 / 3))
    for costs in values(found, label_cost).values():
        assert costs == pytest.approx(dict.fromkeys(range(3), 165.0))
    losses, depth = values(found, total_loss), values(found, metric_getter("depth", "RMSE"))
    for seed in range(3):
        assert losses["partal"][seed] == pytest.approx(
            losses["random_cells"][seed] - 1
        )  # two rounds, of 0.5 each
        assert depth["random_cells"][seed] == pytest.approx(losses["random_cells"][seed] / 2)


def test_between_two_rounds_metrics_are_on_a_straight_line() -> None:
    measured = point_results().of("partal")[0].measured
    found = metrics_at_cost(measured, (measured[1].spent + measured[2].spent) / 2)
    assert found.loss_mtl == pytest.approx((measured[1].loss_mtl + measured[2].loss_mtl) / 2)
    assert found.labels == {"semseg": 18, "depth": 18}  # of 15 and 20, rounded
    assert metrics_at_cost(measured, measured[2].spent).loss_mtl == measured[2].loss_mtl


def test_a_metric_that_was_not_measured_at_first_is_nan_before_it_was_and_known_after() -> None:
    measured = list(point_results().of("partal")[0].measured)
    measured[0] = replace(measured[0], metrics={})
    early, late = (
        metrics_at_cost(measured, cost).metrics["depth"]["RMSE"].value for cost in (140.0, 190.0)
    )
    assert math.isnan(early) and math.isfinite(late)


def test_equal_costs_are_not_shown_twice() -> None:
    assert not any(equal_cost_ending(point_results()).networks.values())
    names = [measure.name for measure in campaign_measures(point_results(), HEADLINES)]
    assert "loss_mtl after the last round" in names and not [
        name for name in names if "equal cost" in name
    ]


def test_runs_that_start_above_the_cheapest_end_or_bought_nothing_are_left_out_and_not_their_seed() -> (
    None
):
    results = cheaper(
        point_results(strategies=("partal", "random_cells", "late", "fixed")), "partal", 1 / 3
    )
    cut = {"late": slice(2, None), "fixed": slice(1)}
    changed = [
        replace(r, measured=r.measured[cut.get(r.strategy, slice(None))]) for r in results.runs
    ]
    found = equal_cost_ending(replace(results, runs=changed))
    seeds = {"partal": [0, 1, 2], "random_cells": [0, 1, 2], "late": [], "fixed": []}
    assert {name: sorted(own) for name, own in found.networks.items()} == seeds
    assert values(found, label_cost)["partal"] == pytest.approx(dict.fromkeys(range(3), 165.0))


def test_an_arm_with_fewer_tasks_does_not_set_the_cost() -> None:
    results = cheaper(
        point_results(strategies=("depth", "partal", "random_cells")), "partal", 1 / 2
    )
    changed = [
        replace(
            r,
            measured=[replace(one, spent=one.spent / 10, loss_mtl=math.nan) for one in r.measured],
        )
        if r.strategy == "depth"
        else r
        for r in results.runs
    ]
    costs = values(equal_cost_ending(replace(results, runs=changed)), label_cost)
    assert costs["partal"] == pytest.approx(dict.fromkeys(range(3), 192.5)) and not costs["depth"]


def test_an_arm_that_bought_no_round_leaves_the_others_their_last_round() -> None:
    results = point_results(strategies=("partal", "random_cells", "fixed"))
    changed = [
        replace(r, measured=r.measured[:1]) if r.strategy == "fixed" else r for r in results.runs
    ]
    found = last_round_ending(replace(results, runs=changed)).networks
    assert {name: len(own) for name, own in found.items()} == {
        "partal": 3,
        "random_cells": 3,
        "fixed": 0,
    }


def test_the_table_has_each_task_that_any_arm_measured_and_full_of_the_same_seeds() -> None:
    results = point_results()
    changed = [
        replace(
            r,
            measured=[replace(one, metrics={"depth": one.metrics["depth"]}) for one in r.measured],
        )
        if r.strategy == "partal"
        else replace(r, state="unfinished")
        if r.key == "random_cells-seed2"
        else r
        for r in results.runs
    ]
    changed = [r for r in changed if r.key != "partal-seed2"]
    results = replace(results, runs=changed)
    _, _, table = ending_table(last_round_ending(results), results, HEADLINES)
    assert isinstance(table, DataTable)
    assert [column.name for column in table.columns][4:] == [
        "loss_mtl",
        "semseg mIoU (%)",
        "depth RMSE (m)",
    ]
    assert [(row[0], row[1], row[5] == "–") for row in table.rows] == [
        ("partal", 2, True),
        ("random_cells", 2, False),
        ("every label", 2, False),
    ]


def at_equal_cost(effect: Effect, factor: float) -> PairComparison:
    """Partal, whose rounds cost so many times as much, compared with random cells in loss."""
    results = cheaper(point_results(effect, 8), "partal", factor)
    (measure,) = [
        one for one in campaign_measures(results, HEADLINES) if one.name == "loss_mtl at equal cost"
    ]
    return measure.pairs["partal", "random_cells"]


def test_the_verdict_at_equal_cost_may_be_the_other_way_round() -> None:
    # Partal's third round ends where the second of random_cells does.
    effect = planted("random_cells", 0.2)
    results = cheaper(point_results(effect, 8), "partal", 2 / 3)
    last = next(
        one
        for one in campaign_measures(results, HEADLINES)
        if one.name == "loss_mtl after the last round"
    )
    assert last.pairs["partal", "random_cells"].verdict == "worse"
    found = at_equal_cost(effect, 2 / 3)
    assert (found.verdict, found.why) == ("better", "") and found.high < 0


def test_a_lead_that_depends_on_the_line_between_rounds_is_no_verdict() -> None:
    # Partal ends in the middle of the last round of random_cells, which may be as good by then.
    found = at_equal_cost(planted("random_cells", 0.0), 2.5 / 3)
    assert found.mean < -0.2 and found.low < 0 < found.high
    assert (found.verdict, found.why) == ("cannot tell", READINGS_DISAGREE)
    clear = at_equal_cost(planted("partal", 0.5), 2.5 / 3)
    assert clear.verdict == "better" and clear.high < 0


def test_strategies_whose_rounds_cost_the_same_are_compared_on_their_lines() -> None:
    three = ("partal", "random_cells", "random_images")
    results = cheaper(point_results(planted("random_images", 0.2), 8, three), "partal", 2.5 / 3)
    measures = {one.name: one for one in campaign_measures(results, HEADLINES)}
    pairs = measures["loss_mtl at equal cost"].pairs
    assert pairs["random_cells", "random_images"].verdict == "worse"
    assert pairs["partal", "random_cells"].verdict == "cannot tell"


def test_networks_with_other_labels_at_another_cost_have_no_test_unless_they_were_given() -> None:
    whole = point_results(planted("partal", 0.2), 8)
    changed = []
    for run in whole.runs:
        if run.strategy == "partal":
            more = [
                replace(
                    one, labels={task: 2 * n for task, n in one.labels.items()}, spent=2 * one.spent
                )
                for one in run.measured
            ]
            run = replace(run, measured=more)
        changed.append(run)
    other = replace(whole, runs=changed)
    given = replace(other, runs=[replace(run, measured=run.measured[-1:]) for run in changed])
    for results, verdict, why in [
        (whole, "better", ""),
        (other, "cannot tell", "they end with other numbers of labels, and at other costs"),
        (given, "better", ""),
    ]:
        for measure in campaign_measures(results, HEADLINES):
            if measure.name.endswith("after the last round") or measure.name.startswith("δ"):
                (found,) = measure.pairs.values()
                assert (found.verdict, found.why) == (verdict, why)


def test_runs_of_other_rounds_that_end_with_as_many_labels_have_last_networks() -> None:
    whole = point_results(seeds=3)
    rare = [
        replace(r, measured=[r.measured[0], r.measured[3]]) if r.strategy == "partal" else r
        for r in whole.runs
    ]
    found = last_round_ending(replace(whole, runs=rare)).networks
    assert {name: sorted(own) for name, own in found.items()} == {
        "partal": [0, 1, 2],
        "random_cells": [0, 1, 2],
    }
