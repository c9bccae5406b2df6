"""Means of findings over seeds, and lines of them."""

import math
from typing import Any

import pytest

from labelgrid.basics.results import Result
from labelgrid.lab.simulation.analysis import Finding, group_means, lines_of, means_of
from labelgrid.lab.simulation.runs import Run


def finding(
    value: float, seed: int = 0, arm: str = "a", metric: str = "RMSE", **keys: Any
) -> Finding:
    return Finding(
        run=Run(kind="strategy", name=arm, seed=seed, point={"x": 1}),
        keys=keys,
        result=Result(metric, value, "m", "lower"),
        count=3,
    )


def test_each_seed_counts_once_however_many_numbers_it_has() -> None:
    found = [
        finding(1.0, fed=1, labels="p"),
        finding(3.0, fed=1, labels="q"),
        finding(6.0, 1, fed=1, labels="p"),
    ]
    (mean,) = means_of(found, frozenset({"labels"}))
    assert (mean.result.value, mean.seeds, dict(mean.keys)) == (4.0, 2, {"fed": 1})
    assert mean.deviation == pytest.approx(math.sqrt(8)) and mean.result.unit == "m"
    assert mean.row() == {
        "arm": "a",
        "point": "x=1",
        "fed": 1,
        "metric": "RMSE",
        "value": 4.0,
        "unit": "m",
        "better": "lower",
        "deviation": mean.deviation,
        "seeds": 2,
        "count": 3.0,
    }


def test_other_arms_metrics_and_keys_are_other_means() -> None:
    found = [
        finding(1.0, fed=1),
        finding(2.0, fed=2),
        finding(3.0, arm="b", fed=1),
        finding(4.0, metric="b", fed=1),
    ]
    means = list(means_of(found, frozenset()))
    assert [mean.result.value for mean in means] == [1.0, 2.0, 3.0, 4.0]
    assert all(mean.seeds == 1 and math.isnan(mean.deviation) for mean in means)
    assert [len(group) for group in group_means(means, "fed").values()] == [2, 1, 1]


def test_lines_rise_in_x_with_a_band_of_the_deviation() -> None:
    found = [
        finding(5.0, fed=2),
        finding(7.0, 1, fed=2),
        finding(9.0, fed=1),
        finding(9.0, 1, fed=1),
    ]
    (line,) = lines_of(means_of(found, frozenset()), "fed", lambda mean: mean.arm)
    assert (line.name, list(line.x), list(line.y)) == ("a", [1.0, 2.0], [9.0, 6.0])
    assert list(line.low) == pytest.approx([9.0, 6 - math.sqrt(2)])
    assert list(line.high) == pytest.approx([9.0, 6 + math.sqrt(2)])
