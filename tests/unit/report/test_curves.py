import math
from dataclasses import replace

import pytest

from labelgrid.basics.results import Result
from labelgrid.operations.headlines import headlines_of
from labelgrid.report.curves import OVERALL, curves, newest_metrics, set_changes
from tests.unit.report.reading import measured

HEADLINES = {"semseg": "mIoU", "depth": "RMSE"}


def test_the_sum_of_losses_comes_first_then_each_task_s_headline_metric() -> None:
    found = curves([measured(1, 20.0, 1.5), measured(2, 30.0, 1.25)], HEADLINES)
    assert [(c.name, c.metric, c.unit, c.better) for c in found] == [
        (OVERALL, "loss_mtl", "", "lower"),
        ("semseg", "mIoU", "%", "higher"),
        ("depth", "RMSE", "m", "lower"),
    ]
    assert [[p.value for p in c.points] for c in found] == [[3.0, 2.5], [20.0, 30.0], [1.5, 1.25]]


def test_points_carry_labels_of_all_tasks_and_of_their_own_and_what_they_were_measured_on() -> None:
    one = replace(
        measured(1, 20.0, 1.5),
        labels={"semseg": 3, "depth": 40},
        heldout_labels={"semseg": 2, "depth": 9},
    )
    overall, semseg, depth = (curve.points[0] for curve in curves([one], HEADLINES))
    assert [(p.labels, p.own_labels, p.measured_on, p.cost) for p in (overall, semseg, depth)] == [
        (43, 43, 11, 110.0),
        (43, 3, 2, 110.0),
        (43, 40, 9, 110.0),
    ]


def test_a_task_added_later_has_a_gap_where_it_was_not_there() -> None:
    first = measured(1, 20.0, 1.5)
    first = replace(
        first,
        metrics={"depth": first.metrics["depth"]},
        labels={"depth": 1},
        heldout_labels={"depth": 3},
    )
    semseg = curves([first, measured(2, 30.0, 1.25)], HEADLINES)[1]
    assert (
        math.isnan(semseg.points[0].value)
        and semseg.points[0].own_labels == semseg.points[0].measured_on == 0
    )
    assert [p.round for p in semseg.finite] == [2]


def test_a_task_may_have_any_name() -> None:
    one = measured(1, 20.0, 1.5)
    one = replace(
        one,
        metrics={"overall": one.metrics["depth"]},
        labels={"overall": 7},
        heldout_labels={"overall": 3},
    )
    _, own = curves([one, one], {"overall": "RMSE"})
    assert (own.points[0].value, own.points[0].own_labels, own.points[0].measured_on) == (1.5, 7, 3)


def test_a_task_or_a_metric_that_nobody_measured_has_no_curve() -> None:
    rounds = [measured(1, 20.0, 1.5)]
    assert [c.name for c in curves(rounds, {"semseg": "mIoU", "edges": "odsF"})] == [
        OVERALL,
        "semseg",
    ]
    assert [c.name for c in curves(rounds, {"semseg": "no such metric"})] == [OVERALL]
    assert curves([], HEADLINES) == []


def test_the_newest_metrics_are_all_of_the_last_round_with_their_change() -> None:
    rows = newest_metrics([measured(1, 20.0, 1.5), measured(2, 30.0, 1.75)], list(HEADLINES))
    assert [(r.task, r.result.name, r.change, r.verdict) for r in rows] == [
        ("semseg", "mIoU", 10.0, "cannot tell"),
        ("semseg", "pixAcc", 0.0, "cannot tell"),
        ("depth", "RMSE", 0.25, "cannot tell"),
    ]
    assert newest_metrics([], list(HEADLINES)) == []


@pytest.mark.parametrize("old", [math.nan, None])
def test_a_metric_without_an_older_one_has_no_verdict(old: float | None) -> None:
    first = measured(1, 20.0, 1.5)
    if old is None:
        first = replace(first, metrics={})
    else:
        first = replace(first, metrics={"depth": {"RMSE": Result("RMSE", old, "m", "lower")}})
    depth = newest_metrics([first, measured(2, 30.0, 1.25)], ["depth"])[0]
    assert depth.change is None and depth.verdict == ""
    assert newest_metrics([measured(1, 20.0, 1.5)], ["depth"])[0].verdict == ""


def test_only_neighbouring_rounds_with_other_label_counts_do_not_compare() -> None:
    rounds = [
        measured(1, 1, 1),
        measured(2, 1, 1),
        measured(3, 1, 1, heldout=5),
        measured(5, 1, 1, heldout=5),
    ]
    assert set_changes(rounds) == [(2, 3)]
    assert set_changes(rounds[:1]) == []


def test_every_metric_has_the_verdict_of_the_headlines() -> None:
    """A change whose interval holds 0 is no gain, whatever its sign."""
    rounds = [measured(1, 20.0, 1.5), measured(2, 30.0, 1.25)]
    spread = [0.1, -0.2, 0.3, -0.1, 0.2]
    for one, shift in zip(rounds, (0.0, 1.0), strict=True):
        steady = [shift + 0.01 * value for value in spread]
        noisy = [value * (1 + 9 * shift) for value in spread]
        one.without["semseg"] = {"mIoU": steady, "pixAcc": noisy}
    verdicts = {r.result.name: r.verdict for r in newest_metrics(rounds, list(HEADLINES))}
    assert verdicts == {"mIoU": "better", "pixAcc": "within noise", "RMSE": "cannot tell"}
    headlines = headlines_of(rounds, HEADLINES)
    assert [headline.verdict for headline in headlines] == ["better", "cannot tell"]
