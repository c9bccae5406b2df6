"""The headline metrics and the interval of their change."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from labelgrid.basics.results import Result
from labelgrid.operations.headlines import headlines_of, jackknife_interval
from labelgrid.project.records import Measurement

METRICS = {"depth": "RMSE"}


def without(values: list[float]) -> list[float]:
    """The mean of the others, for each value."""
    return [(sum(values) - value) / (len(values) - 1) for value in values]


def test_the_interval_of_a_mean_is_the_paired_t_interval() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.normal(size=12), rng.normal(size=12)
    change = float(after.mean() - before.mean())
    expected = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert jackknife_interval(
        change, without(before.tolist()), without(after.tolist())
    ) == pytest.approx(expected)


def test_an_interval_covers_the_truth_of_a_ratio_in_95_of_100_cases() -> None:
    """A pooled ratio, as mIoU is one: the truth is 0.5 in both rounds, so the change is 0."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(600):
        union = rng.uniform(50, 150, (2, 30))
        inside = union * rng.uniform(0, 1, (2, 30))
        ratio = inside.sum(1) / union.sum(1)
        rest = (inside.sum(1)[:, None] - inside) / (union.sum(1)[:, None] - union)
        low, high = jackknife_interval(ratio[1] - ratio[0], rest[0].tolist(), rest[1].tolist()) or (
            1.0,
            1.0,
        )
        covered += low <= 0 <= high
    assert 0.925 < covered / 600 < 0.975


@pytest.mark.parametrize("values", [[1.0] * 4, [1.0, 2.0, 3.0, 4.0, float("nan")]])
def test_there_is_no_interval_with_few_blocks_or_metrics_that_are_not_finite(
    values: list[float],
) -> None:
    assert jackknife_interval(0.1, values, values) is None


def test_there_is_no_interval_between_other_blocks() -> None:
    assert jackknife_interval(0.1, [1.0] * 6, [1.0] * 7) is None


def measured(number: int, values: list[float], heldout: str = "same") -> Measurement:
    """A round with an RMSE of this mean."""
    metrics = {"depth": {"RMSE": Result("RMSE", float(np.mean(values)), "m", "lower")}}
    counts = {"depth": len(values)}
    return Measurement(
        round=number,
        model="",
        labels={},
        spent=0.0,
        heldout_labels=counts,
        metrics=metrics,
        loss_mtl=0.5,
        heldout_set=heldout,
        without={"depth": {"RMSE": without(values)}},
    )


NOISE = [0.9, 1.1, 1.0, 1.2, 0.8]


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ([1.2, 0.9, 1.0, 0.8, 1.2], "within noise"),
        ([v - 0.5 for v in NOISE], "better"),
        ([9.0, 9, 8, 9, 8], "worse"),
    ],
)
def test_a_change_is_compared_with_the_noise_of_the_held_out_images(
    after: list[float], verdict: str
) -> None:
    (headline,) = headlines_of([measured(1, NOISE), measured(2, after)], METRICS)
    assert headline.verdict == verdict and str(headline).endswith(f": {verdict})")
    assert str(headline).startswith(
        f"depth RMSE 1 → {np.mean(after):.3g} m (5 held-out images, change "
    )
    assert headline.as_json()["text"] == str(headline)


def test_without_a_comparable_round_before_the_metric_stands_alone() -> None:
    for rounds in ([measured(2, NOISE)], [measured(1, NOISE, "other"), measured(2, NOISE)]):
        (headline,) = headlines_of(rounds, METRICS)
        assert str(headline) == "depth RMSE 1 m (5 held-out images)" and headline.before is None
    assert headlines_of([], METRICS) == headlines_of([measured(1, NOISE)], {"semseg": "mIoU"}) == []


def test_rounds_measured_before_such_intervals_existed_show_the_change_alone() -> None:
    first, last = (replace(measured(n, NOISE), without={}) for n in (1, 2))
    (headline,) = headlines_of([first, last], METRICS)
    assert str(headline) == "depth RMSE 1 → 1 m (5 held-out images, too few: cannot tell)"
