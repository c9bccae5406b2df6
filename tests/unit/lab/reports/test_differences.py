"""Laws of differences by round: seed by seed, on the reference's straight lines, up to where both have a value."""

import math
from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.comparison import bootstrap_interval
from labelgrid.basics.results import delta_mtl
from labelgrid.drawings.charts import MAX_BANDS
from labelgrid.drawings.wording import rough_number, rough_range
from labelgrid.lab.reports.comparison_blocks import curve_blocks, curve_figure
from labelgrid.lab.reports.differences import (
    difference_blocks,
    differences_method,
    mean_differences,
)
from labelgrid.lab.reports.means import (
    delta_mtl_getter,
    label_cost,
    label_count,
    metric_getter,
    same_for_all_seeds,
    total_loss,
)
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.lab.reports.study_page import study_page
from labelgrid.project.records import Measurement
from labelgrid.report.html_page import render
from labelgrid.report.page_blocks import Help
from tests.unit.report.made import HEADLINES, network, nothing, planted, point_results, study
from tests.unit.report.reading import Page


def scaled(results: PointResults, name: str, factor: float) -> PointResults:
    """The same results, but the cost of a strategy's rounds is multiplied."""
    runs = [
        replace(
            run, measured=[replace(m, spent=110 + (m.spent - 110) * factor) for m in run.measured]
        )
        if run.strategy == name
        else run
        for run in results.runs
    ]
    return replace(results, runs=runs)


def changed(
    results: PointResults, key: str, *measured: Measurement, **changes: object
) -> PointResults:
    """The same results, but one run has other networks after its first ones, or other values."""
    runs = list(results.runs)
    place = next(index for index, run in enumerate(runs) if run.key == key)
    if measured:
        changes["measured"] = [*runs[place].measured[: -len(measured)], *measured]
    runs[place] = replace(runs[place], **changes)
    return replace(results, runs=runs)


def test_at_equal_labels_they_are_the_paired_differences_of_each_round() -> None:
    results = point_results(planted("partal", 0.2), seeds=8)
    found = mean_differences(
        results,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [(d.rounds_bought, d.seeds, d.at) for d in found] == [
        (0, 8, 20),
        (1, 8, 30),
        (2, 8, 40),
        (3, 8, 50),
    ]
    for bought, difference in enumerate(found):
        own, other = results.finished("partal"), results.finished("random_cells")
        values = np.array(
            [
                total_loss(own[s].measured[bought]) - total_loss(other[s].measured[bought])
                for s in range(8)
            ]
        )
        assert difference.mean == pytest.approx(values.mean())
        assert (difference.low, difference.high) == pytest.approx(bootstrap_interval(values, 0))
    assert found[0].mean == found[0].low == found[0].high == 0


def test_between_rounds_the_reference_is_a_straight_line_but_not_in_its_first_round() -> None:
    """Each of partal's rounds costs half: the first one ends within the reference's first one, and is left out."""
    results = scaled(point_results(nothing), "partal", 0.5)
    found = mean_differences(
        results,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_cost,
    )
    assert [(d.rounds_bought, d.at) for d in found] == [(0, 110), (2, 165), (3, 192.5)]
    assert [d.mean for d in found] == pytest.approx([0, -0.5, -0.75])


def test_beyond_the_end_of_the_reference_both_are_read_there() -> None:
    """Each of partal's rounds costs half as much again: its second one ends where the reference's last one does."""
    results = scaled(point_results(nothing), "partal", 1.5)
    found = mean_differences(
        results,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_cost,
    )
    assert [(d.rounds_bought, d.at) for d in found] == [(0, 110), (1, 192.5), (2, 275)]
    assert [d.mean for d in found] == pytest.approx([0, 0.25, 0.5])
    cut = scaled(point_results(nothing), "partal", 2.5)
    found = mean_differences(
        cut,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_cost,
    )
    assert [(d.rounds_bought, d.at) for d in found] == [(0, 110), (1, 247.5), (2, 275)]
    assert found[-1].mean == pytest.approx(6 - 0.5 * 1.2 - 4.5)
    wide = scaled(
        point_results(nothing), "partal", 4
    )  # the reference ends within partal's first round
    assert [
        d.at
        for d in mean_differences(
            wide,
            "partal",
            reference="random_cells",
            value_of=same_for_all_seeds(total_loss),
            x_of=label_cost,
        )
    ] == [110]


def test_places_outside_a_curve_are_left_out() -> None:
    results = point_results(nothing, seeds=1)
    late = changed(results, "partal-seed0", measured=[network(4, 4.5), network(5, 4.0)])
    assert (
        mean_differences(
            late,
            "partal",
            reference="random_cells",
            value_of=same_for_all_seeds(total_loss),
            x_of=label_count,
        )
        == []
    )
    later = changed(results, "random_cells-seed0", measured=[network(1, 5.5), network(2, 5.0)])
    found = mean_differences(
        later,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [(d.rounds_bought, d.at) for d in found] == [(1, 30), (2, 40)]


def test_a_round_that_costs_nothing_is_read_once_and_the_first_networks_stay_equal() -> None:
    results = point_results(nothing, seeds=1)
    measured = [network(0, 6.0, 10), network(1, 5.0, 10), network(2, 4.0, 15)]
    free = changed(results, "random_cells-seed0", measured=measured)
    found = mean_differences(
        free,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [(d.rounds_bought, d.mean) for d in found][:2] == [(0, 0), (1, 1.5)]
    found = mean_differences(
        free,
        "random_cells",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [(d.rounds_bought, d.mean) for d in found] == [(0, 0), (2, 0)]


def test_only_finished_runs_of_both_in_the_same_seed_count() -> None:
    results = point_results(planted("partal", 0.2))
    runs = [
        replace(run, state="failed") if run.key == "random_cells-seed1" else run
        for run in results.runs
    ]
    runs = [run for run in runs if run.key != "partal-seed2"]
    found = mean_differences(
        replace(results, runs=runs),
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [d.seeds for d in found] == [1, 1, 1, 1]
    assert (
        mean_differences(
            results,
            "partal",
            reference="absent",
            value_of=same_for_all_seeds(total_loss),
            x_of=label_count,
        )
        == []
    )


def test_a_point_is_the_mean_over_all_seeds_or_left_out() -> None:
    """Else a line would rise or fall because its points are of different seeds."""
    results = point_results(planted("partal", 0.2))
    short = changed(results, "partal-seed1", measured=results.finished("partal")[1].measured[:2])
    found = mean_differences(
        short,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [(d.rounds_bought, d.seeds) for d in found] == [(0, 3), (1, 3)]


def test_values_that_are_not_finite_are_left_out() -> None:
    results = changed(point_results(nothing), "partal-seed0", network(2, math.nan), network(3, 1.0))
    found = mean_differences(
        results,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )
    assert [(d.rounds_bought, d.seeds) for d in found] == [(0, 3), (1, 3), (3, 3)]
    for key in ("partal-seed0", "random_cells-seed0"):
        none = changed(results, key, measured=[network(0, math.nan)])
        found = mean_differences(
            none,
            "partal",
            reference="random_cells",
            value_of=same_for_all_seeds(total_loss),
            x_of=label_count,
        )
        assert [d.seeds for d in found] == [2, 2, 2, 2]
    getter = same_for_all_seeds(metric_getter("depth", "no such metric"))
    assert (
        mean_differences(
            results, "partal", reference="random_cells", value_of=getter, x_of=label_count
        )
        == []
    )


def test_delta_mtl_is_relative_to_the_seeds_own_network_with_every_label() -> None:
    results = point_results(planted("partal", 0.2))
    value_of = delta_mtl_getter(results.full, HEADLINES)
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
    row = next(
        row
        for table in section.tables
        for row in table
        if row[:4] == ["partal", "3", "labels", "50"]
    )
    last = mean_differences(
        results,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_count,
    )[-1]
    assert row[4:] == [rough_number(last.mean), rough_range(last.low, last.high), "8"]


def test_the_method_is_explained_once_wherever_the_first_differences_are() -> None:
    results = point_results(planted("partal", 0.2))
    runs = [
        replace(run, measured=[replace(m, loss_mtl=math.nan) for m in run.measured])
        for run in results.runs
    ]
    explained = differences_method("random_cells")
    for one in (results, replace(results, runs=runs)):
        blocks = curve_blocks(one, HEADLINES, "random_cells", "curve")
        assert [block.answer for block in blocks if isinstance(block, Help)].count(explained) == 1
    assert explained not in {
        b.answer for b in curve_blocks(results, {}, "absent", "curve") if isinstance(b, Help)
    }


def test_few_lines_have_bands_and_a_round_that_is_left_out_is_a_gap() -> None:
    results = scaled(point_results(planted("partal", 0.2)), "partal", 0.5)
    _, figure = difference_blocks(
        results,
        same_for_all_seeds(total_loss),
        label="loss_mtl",
        better="lower",
        reference="random_cells",
        name="a",
    )
    line = next(line for line in figure.drawings[1].lines if line.name == "partal")
    assert (
        [math.isfinite(y) for y in line.y]
        == [True, False, True, True]
        == [math.isfinite(y) for y in line.low]
    )
    names = [f"s{number}" for number in range(MAX_BANDS)]
    for strategies, banded in ((names[1:], True), (names, False)):
        many = point_results(strategies=(*strategies, "random_cells"))
        _, figure = difference_blocks(
            many,
            same_for_all_seeds(total_loss),
            label="loss_mtl",
            better="lower",
            reference="random_cells",
            name="a",
        )
        assert [bool(line.low) for line in figure.drawings[0].lines] == [banded] * len(
            many.strategies
        )


@pytest.mark.parametrize("state", ["done", "unfinished"])
def test_a_strategy_has_the_colour_of_its_curve(state: str) -> None:
    """Lines take colours in order: that of the reference, all zeros, and that of unfinished runs keep their places."""
    results = point_results(
        planted("partal", 0.2), seeds=1, strategies=("tcd", "random_cells", "partal")
    )
    results = changed(results, "tcd-seed0", state=state)
    curve = curve_figure(results, total_loss, "loss_mtl", "a").drawings[0]
    _, figure = difference_blocks(
        results,
        same_for_all_seeds(total_loss),
        label="loss_mtl",
        better="lower",
        reference="random_cells",
        name="a",
    )
    for drawing in figure.drawings:
        assert [line.name for line in drawing.lines] == [line.name for line in curve.lines]
        assert (
            len(drawing.lines[0].y) == (4 if state == "done" else 0)
            and list(drawing.lines[1].y) == [0] * 4
        )
    assert {row[0] for row in figure.numbers.rows} == (
        {"tcd", "partal"} if state == "done" else {"partal"}
    )


def test_without_the_reference_or_another_strategy_there_is_nothing_to_show() -> None:
    alone = point_results(strategies=("random_cells",))
    assert (
        difference_blocks(
            alone,
            same_for_all_seeds(total_loss),
            label="loss_mtl",
            better="lower",
            reference="random_cells",
            name="a",
        )
        == []
    )
    other = point_results(strategies=("partal", "tcd"))
    assert (
        difference_blocks(
            other,
            same_for_all_seeds(total_loss),
            label="loss_mtl",
            better="lower",
            reference="random_cells",
            name="a",
        )
        == []
    )


def test_one_round_at_other_costs_has_no_drawing_against_cost() -> None:
    """All its places are within the first round of a curve."""
    results = scaled(point_results(nothing), "partal", 0.5)
    results = replace(
        results, runs=[replace(run, measured=run.measured[:2]) for run in results.runs]
    )
    _, figure = difference_blocks(
        results,
        same_for_all_seeds(total_loss),
        label="loss_mtl",
        better="lower",
        reference="random_cells",
        name="a",
    )
    assert [drawing.name for drawing in figure.drawings] == ["a-difference-labels"]


def test_between_rounds_an_interval_spans_the_line_and_the_next_round() -> None:
    results = scaled(point_results(nothing, seeds=8), "partal", 1.25)
    found = mean_differences(
        results,
        "partal",
        reference="random_cells",
        value_of=same_for_all_seeds(total_loss),
        x_of=label_cost,
    )
    second = next(one for one in found if one.rounds_bought == 2)
    # Its second round, at 2.5 rounds of the reference, is half a round behind, or a whole one.
    assert (second.mean, second.low, second.high) == pytest.approx((0.25, 0.25, 0.5))
