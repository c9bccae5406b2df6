"""Laws of differences by round: seed by seed, on the reference's straight lines, up to where both have a value."""

import math
from dataclasses import replace

import numpy as np
import pytest

from labelgrid.report.comparison_blocks import curve_figure
from labelgrid.report.differences import difference_blocks, mean_differences
from labelgrid.report.means import by_seed, delta_mtl_value, label_cost, label_count, loss, metric
from labelgrid.report.page import render
from labelgrid.report.statistics import interval
from labelgrid.report.study_content import PointResults
from labelgrid.report.study_page import study_page
from labelgrid.results import delta_mtl
from tests.unit.report.made import HEADLINES, network, nothing, planted, point_results, study
from tests.unit.report.reading import Page


def scaled(results: PointResults, name: str, factor: float) -> PointResults:
    """The same results, but a strategy's labels cost more after each round."""
    runs = [
        replace(run, measured=[replace(m, spent=110 + (m.spent - 110) * factor) for m in run.measured])
        if run.strategy == name
        else run
        for run in results.runs
    ]
    return replace(results, runs=runs)


def test_at_equal_labels_they_are_the_paired_differences_of_each_round() -> None:
    results = point_results(planted("partal", 0.2), seeds=8)
    found = mean_differences(results, "partal", "random_cells", by_seed(loss), label_count)
    assert [(d.rounds_bought, d.seeds, d.at) for d in found] == [(0, 8, 20), (1, 8, 30), (2, 8, 40), (3, 8, 50)]
    for bought, difference in enumerate(found):
        own, other = results.finished("partal"), results.finished("random_cells")
        values = np.array([loss(own[s].measured[bought]) - loss(other[s].measured[bought]) for s in range(8)])
        assert difference.mean == pytest.approx(values.mean())
        assert (difference.low, difference.high) == pytest.approx(interval(values, 0))
    assert found[0].mean == found[0].low == found[0].high == 0


def test_between_rounds_the_reference_is_a_straight_line() -> None:
    """Each of partal's rounds costs half: it is compared with half a round of the reference, and nothing beyond."""
    results = scaled(point_results(nothing), "partal", 0.5)
    found = mean_differences(results, "partal", "random_cells", by_seed(loss), label_cost)
    assert [d.at for d in found] == [110, 137.5, 165, 192.5]
    assert [d.mean for d in found] == pytest.approx([0, -0.25, -0.5, -0.75])


def test_beyond_the_end_of_the_reference_both_are_read_there() -> None:
    """Each of partal's rounds costs twice as much: its second round ends where the reference's last one does."""
    results = scaled(point_results(nothing), "partal", 1.5)
    found = mean_differences(results, "partal", "random_cells", by_seed(loss), label_cost)
    assert [(d.rounds_bought, d.at) for d in found] == [(0, 110), (1, 192.5), (2, 275)]
    assert [d.mean for d in found] == pytest.approx([0, 0.25, 0.5])
    cut = scaled(point_results(nothing), "partal", 2.5)
    found = mean_differences(cut, "partal", "random_cells", by_seed(loss), label_cost)
    assert [(d.rounds_bought, d.at) for d in found] == [(0, 110), (1, 247.5), (2, 275)]
    assert found[-1].mean == pytest.approx(6 - 0.5 * 1.2 - 4.5)


def test_only_finished_runs_of_both_in_the_same_seed_count() -> None:
    results = point_results(planted("partal", 0.2))
    runs = [replace(run, state="failed") if run.key == "random_cells-seed1" else run for run in results.runs]
    runs = [run for run in runs if run.key != "partal-seed2"]
    found = mean_differences(replace(results, runs=runs), "partal", "random_cells", by_seed(loss), label_count)
    assert [d.seeds for d in found] == [1, 1, 1, 1]
    assert mean_differences(results, "partal", "absent", by_seed(loss), label_count) == []


def test_values_that_are_not_finite_are_left_out() -> None:
    results = point_results(nothing)
    runs = list(results.runs)
    first = next(i for i, run in enumerate(runs) if run.key == "partal-seed0")
    runs[first] = replace(runs[first], measured=[*runs[first].measured[:2], network(2, math.nan), network(3, 1.0)])
    found = mean_differences(replace(results, runs=runs), "partal", "random_cells", by_seed(loss), label_count)
    assert [d.seeds for d in found] == [3, 3, 2, 3]
    getter = metric("depth", "no such metric")
    assert mean_differences(results, "partal", "random_cells", lambda _, one: getter(one), label_count) == []


def test_delta_mtl_is_relative_to_the_seeds_own_network_with_every_label() -> None:
    results = point_results(planted("partal", 0.2))
    value_of = delta_mtl_value(results, HEADLINES)
    one = results.finished("partal")[1].measured[2]
    found = {task: one.metrics[task][name] for task, name in HEADLINES.items()}
    base = {task: results.full[1].metrics[task][name] for task, name in HEADLINES.items()}
    assert value_of(1, one) == pytest.approx(100 * delta_mtl(found, base))
    assert math.isnan(value_of(7, one))


def test_the_page_shows_them_beside_the_curves_and_says_which_side_is_better() -> None:
    results = point_results(planted("partal", 0.2), seeds=8)
    section = Page(render(study_page(study(results), [[]]))).section("curves")
    assert "Difference to random_cells: below 0 is better" in section.words
    assert "above 0 is better" in section.words  # mIoU and delta_mtl
    names = {drawing.name for drawing in study_page(study(results), [[]]).drawings()}
    assert {
        f"curve-{what}-difference-{axis}"
        for what in ("overall", "delta_mtl", "task-depth")
        for axis in ("labels", "cost")
    } <= names
    rows = [row for table in section.tables for row in table if row[:3] == ["partal", "3", "50"] and len(row) == 7]
    assert rows, section.tables


def test_a_strategy_has_the_colour_of_its_curve() -> None:
    """Lines take colours in order, so that of the reference, all zeros, keeps its place."""
    results = point_results(planted("partal", 0.2), strategies=("tcd", "random_cells", "partal"))
    curve = curve_figure(results, loss, "loss_mtl", "a").drawings[0]
    _, figure = difference_blocks(results, by_seed(loss), "loss_mtl", "lower", "random_cells", "a")
    for drawing in figure.drawings:
        assert [line.name for line in drawing.lines] == [line.name for line in curve.lines]
        assert list(drawing.lines[1].y) == [0] * 4
    assert {row[0] for row in figure.numbers.rows} == {"tcd", "partal"}


def test_without_the_reference_or_another_strategy_there_is_nothing_to_show() -> None:
    alone = point_results(strategies=("random_cells",))
    assert difference_blocks(alone, by_seed(loss), "loss_mtl", "lower", "random_cells", "a") == []
    other = point_results(strategies=("partal", "tcd"))
    assert difference_blocks(other, by_seed(loss), "loss_mtl", "lower", "random_cells", "a") == []
