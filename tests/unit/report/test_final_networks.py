"""Laws of the networks that strategies end with: equal rounds, or equal cost, seed by seed."""

import math
from dataclasses import replace

import pytest

from labelgrid.report.blocks import DataTable
from labelgrid.report.campaign_measures import campaign_measures
from labelgrid.report.comparison_blocks import ending_table
from labelgrid.report.final_networks import equal_cost_ending, last_round_ending, metrics_at_cost
from labelgrid.report.means import label_cost, metric_getter, total_loss
from labelgrid.report.study_content import PointResults
from tests.unit.report.made import HEADLINES, planted, point_results


def cheaper(results: PointResults, strategy: str, factor: float) -> PointResults:
    """The same runs, where what a strategy buys after the first network costs less."""
    found = []
    for run in results.runs:
        if run.strategy == strategy:
            first = run.measured[0].spent
            own = [replace(one, spent=first + factor * (one.spent - first)) for one in run.measured]
            run = replace(run, measured=own)
        found.append(run)
    return replace(results, runs=found)


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
    for costs in found.values(label_cost).values():
        assert costs == pytest.approx(dict.fromkeys(range(3), 165.0))
    losses, depth = found.values(total_loss), found.values(metric_getter("depth", "RMSE"))
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
    names = [
        measure.name for measure in campaign_measures(point_results(), HEADLINES, "random_cells")
    ]
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
    assert found.values(label_cost)["partal"] == pytest.approx(dict.fromkeys(range(3), 165.0))


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
    costs = equal_cost_ending(replace(results, runs=changed)).values(label_cost)
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


def test_the_verdict_at_equal_cost_may_be_the_other_way_round() -> None:
    results = cheaper(point_results(planted("random_cells", 0.2), 8), "partal", 0.5)
    measures = {
        measure.name: measure for measure in campaign_measures(results, HEADLINES, "random_cells")
    }
    last, alike = (
        measures[f"loss_mtl {place}"] for place in ("after the last round", "at equal cost")
    )
    assert [
        last.pairs()["partal", "random_cells"].verdict,
        alike.pairs()["partal", "random_cells"].verdict,
    ] == [
        "worse",
        "better",
    ]
    assert measures["delta_mtl at equal cost"].pairs()["partal", "random_cells"].verdict == "better"
