"""Laws of what a study adds up to: means of what there is, comparisons of finished runs alone, seed by seed."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.lab.reports.campaign_measures import campaign_measures
from labelgrid.lab.reports.study_content import PointResults
from tests.unit.report.made import HEADLINES, network, planted, point_results

COVERS = ["labelgrid.lab.reports.study_content"]


def named(found: PointResults, word: str) -> object:
    (one,) = [m for m in campaign_measures(found, HEADLINES) if word in m.name]
    return one


def test_the_area_is_the_mean_loss_on_the_way() -> None:
    found = named(point_results(), "over labels")
    base = [0.3 * np.sin(seed) for seed in range(3)]
    assert [found.values["partal"][s] for s in range(3)] == pytest.approx(
        [6 + b - 0.75 for b in base]
    )


def test_curves_of_other_lengths_are_compared_where_both_are() -> None:
    whole = point_results(planted("partal", 0.2), seeds=1)
    short = [
        replace(r, measured=r.measured[:2]) if r.strategy == "random_cells" else r
        for r in whole.runs
    ]
    found = named(replace(whole, runs=short), "over labels")
    first = next(r for r in short if r.strategy == "partal").measured
    assert found.values["partal"][0] == pytest.approx((first[0].loss_mtl + first[1].loss_mtl) / 2)


def test_curves_that_begin_at_other_places_are_compared_from_where_the_last_begins() -> None:
    whole = point_results(seeds=1)
    late = [
        replace(r, measured=r.measured[1:]) if r.strategy == "random_cells" else r
        for r in whole.runs
    ]
    found = named(replace(whole, runs=late), "over labels")
    assert found.values["partal"] == found.values["random_cells"] == pytest.approx({0: 5.0})


def test_a_pair_is_compared_over_the_seeds_that_both_have_finished() -> None:
    whole = point_results(seeds=3)
    gaps = {"partal-seed0", "random_cells-seed2"}
    left = [replace(run, state="unfinished") if run.key in gaps else run for run in whole.runs]
    for measure in campaign_measures(replace(whole, runs=left), HEADLINES):
        assert [compared.seeds for compared in measure.pairs.values()] == [1]


def test_labels_are_counted_up_to_the_highest_final_loss_of_a_seed_which_all_reach() -> None:
    found = named(
        point_results(lambda name, seed, place: -0.5 if name == "partal" else 0.0),
        "Labels to reach",
    )
    assert found.values["partal"] == pytest.approx({0: 40.0, 1: 40.0, 2: 40.0})
    assert found.values["random_cells"] == pytest.approx({0: 50.0, 1: 50.0, 2: 50.0})
    worse = named(
        point_results(lambda name, seed, place: 0.5 if name == "partal" else 0.0), "Labels to reach"
    )
    assert worse.values == {
        "partal": found.values["random_cells"],
        "random_cells": pytest.approx(found.values["partal"]),
    }


def test_delta_is_the_distance_to_the_network_with_every_label_of_the_same_seed() -> None:
    found = named(point_results(), "δ of depth")
    assert found.values["partal"] == pytest.approx(dict.fromkeys(range(3), (4.5 - 3.0) / 2))
    assert (found.unit, found.better) == ("m", "lower")
    assert named(point_results(), "δ of semseg").values["partal"] == pytest.approx(
        dict.fromkeys(range(3), 15.0)
    )
    whole = point_results()
    without = replace(whole, runs=[run for run in whole.runs if run.kind != "full"])
    assert not [m for m in campaign_measures(without, HEADLINES) if "δ" in m.name]


def test_delta_mtl_is_the_mean_relative_gain_over_the_network_with_every_label() -> None:
    results = point_results()
    found = named(results, "delta_mtl")
    last, full = results.finished("partal")[0].measured[-1].metrics, results.full[0].metrics
    depth = 1 - last["depth"]["RMSE"].value / full["depth"]["RMSE"].value
    semseg = last["semseg"]["mIoU"].value / full["semseg"]["mIoU"].value - 1
    assert depth < 0 and semseg < 0
    assert found.values["partal"][0] == pytest.approx(100 * (depth + semseg) / 2)
    assert (found.unit, found.better) == ("%", "higher")


def test_delta_mtl_over_single_task_networks_has_the_reference_of_the_strategys_own_labels() -> (
    None
):
    whole = point_results()
    own, every = (
        {seed: network(0, 5.0) for seed in range(3)},
        {seed: network(9, 2.0, 100) for seed in (0, 1)},
    )
    references = {"partal": "single", "full": "single.full"}
    results = replace(whole, single={"single": own, "single.full": every}, single_of=references)
    measures = {m.name: m for m in campaign_measures(results, HEADLINES) if "delta_mtl" in m.name}
    assert list(measures) == [
        "delta_mtl after the last round",
        "delta_mtl over single-task networks after the last round",
        "delta_mtl over single-task networks with every label after the last round",
    ]
    _, mine, full = measures.values()
    last = (
        results.finished("partal")[1].measured[-1].loss_mtl
    )  # mIoU is 100 - 10 loss, RMSE loss / 2
    assert mine.values["partal"][1] == pytest.approx(
        50 * ((100 - 10 * last) / 50 - 1 + 1 - last / 5)
    )
    assert full.values["partal"][1] == pytest.approx(
        50 * ((100 - 10 * last) / 80 - 1 + 1 - last / 2)
    )
    assert set(mine.values["partal"]) == {0, 1, 2} and mine.values["random_cells"] == {}
    assert set(full.values["partal"]) == set(full.values["random_cells"]) == {0, 1}


def test_an_arm_without_all_tasks_has_no_delta_mtl() -> None:
    whole = point_results()
    fewer = [
        replace(
            run,
            measured=[
                replace(one, metrics={"depth": one.metrics["depth"]}) for one in run.measured
            ],
        )
        if run.strategy == "partal"
        else run
        for run in whole.runs
    ]
    found = named(replace(whole, runs=fewer), "delta_mtl").values
    assert found["partal"] == {} and len(found["random_cells"]) == 3


def test_unfinished_and_failed_runs_are_in_no_comparison() -> None:
    whole = point_results(seeds=2)
    for state in ("unfinished", "failed"):
        cut = [replace(r, state=state) if r.key == "partal-seed1" else r for r in whole.runs]
        for measure in campaign_measures(replace(whole, runs=cut), HEADLINES):
            assert set(measure.values["partal"]) == {0}
            assert [c.seeds for c in measure.pairs.values()] == [1]


def test_a_run_that_ended_early_has_no_last_round_to_compare_and_counts_no_labels() -> None:
    whole = point_results(lambda name, seed, place: 0.5 if name == "partal" else 0.0)
    cut = [
        replace(r, measured=r.measured[:2]) if r.key == "partal-seed0" else r for r in whole.runs
    ]
    for measure in campaign_measures(replace(whole, runs=cut), HEADLINES):
        if measure.name.startswith(("loss_mtl after", "δ")):
            assert set(measure.values["partal"]) == set(measure.values["random_cells"]) == {1, 2}
        if measure.name.startswith("Labels to reach"):
            assert set(measure.values["partal"]) == {1, 2}
            assert set(measure.values["random_cells"]) == {0, 1, 2}
