"""A study's figures for programs: what the page shows, as JSON values."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labelgrid.report.findings import Measure, measures
from labelgrid.report.trials import PointResults, StudyReport


def study_values(report: StudyReport) -> dict[str, Any]:
    """All comparisons by point of the grid, and the runs that are not done."""
    return {
        "study": report.name,
        "points": [_trial(trial, report) for trial in report.trials],
        "unfinished": [
            {"run": run.key, "point": run.point, "state": run.ending, "fault": run.fault}
            for run in report.runs
            if run.ending != "done"
        ],
    }


def _trial(trial: PointResults, report: StudyReport) -> dict[str, Any]:
    found = measures(trial, report.headlines, report.reference)
    return {
        "point": trial.point,
        "strategies": list(trial.strategies),
        "measures": [_measure(measure) for measure in found],
    }


def _measure(measure: Measure) -> dict[str, Any]:
    by_strategy: dict[str, Any] = {}
    for strategy, seeds in measure.values.items():
        mean, deviation, _ = measure.summary(strategy)
        values = {str(seed): value for seed, value in seeds.items()}
        by_strategy[strategy] = {"mean": plain(mean), "deviation": plain(deviation), "seeds": values}
    return {
        "name": measure.name,
        "unit": measure.unit,
        "better": measure.better,
        "strategies": by_strategy,
        "pairs": [
            {"first": first, "second": second, **asdict(compared)}
            for (first, second), compared in measure.pairs().items()
        ],
    }


def plain(value: Any) -> Any:
    """A value as JSON has it, which knows no NaN.

    Example:
        >>> plain({"a": float("nan"), "b": 1.5})
        {'a': None, 'b': 1.5}
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
