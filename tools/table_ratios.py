"""Makes the table of the labels, and of their cost, by which some arms reach a run's values, metric by metric."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.comparison import interval_tail
from labelgrid.basics.results import LOSS
from labelgrid.lab.simulation.study_results import Outcome
from tools.table_about import RatiosTable
from tools.table_records import Records, TableError
from tools.table_values import markdown

#: Drawn sets of seeds.
DRAWS = 10000
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RatioRows:
    """A table of ratios.

    Args:
        records: of the study.
        spec: which arms are compared with which run.
        metrics: the names of its metrics; the loss comes first.
    """

    records: Records
    spec: RatiosTable
    metrics: Sequence[str]

    def markdown(self) -> str:
        """The table.

        Raises:
            TableError: it names a run or a metric that the records do not have, or the runs have
                other seeds.
        """
        headings = ["metric", "labels, as a share", "95 %", "cost, as a share", "95 %"]
        rows = []
        for name in (LOSS, *self.metrics):
            metric = self.records.metric(name)
            labels = self._ratio(metric, self._labels(metric), self._goal(metric).labels)
            cost = self._ratio(metric, self._costs(), self.records.cost(self.spec.goal))
            rows.append([name, *labels, *cost])
        return markdown(headings, rows)

    def _goal(self, metric: Outcome) -> Outcome:
        return self._first(self.spec.goal, metric)

    def _first(self, run: str, metric: Outcome) -> Outcome:
        """An outcome of a run: its seeds have the same number of labels."""
        return next(iter(self.records.last[run][f"{metric.task} {metric.metric}"].values()))

    def _labels(self, metric: Outcome) -> Floats:
        """The labels that each arm pays for."""
        return np.array(
            [self._first(run, metric).labels + self.spec.unused_labels for run in self.spec.runs],
            np.float64,
        )

    def _costs(self) -> Floats:
        return np.array([self.records.cost(run) + self.spec.unused_cost for run in self.spec.runs])

    def _ratio(self, metric: Outcome, paid: Floats, whole: float) -> tuple[str, str]:
        """What reaches the goal as a share of what the goal took, and its interval, in words."""
        goal = self.records.of(self.spec.goal, metric)
        seeds = sorted(goal)
        arms = []
        for run in self.spec.runs:
            values = self.records.of(run, metric)
            if sorted(values) != seeds:
                raise TableError(f"'{run}' and '{self.spec.goal}' have other seeds")
            arms.append([values[seed] for seed in seeds])
        sign = 1 if metric.better == "lower" else -1
        table = sign * np.array([*arms, [goal[seed] for seed in seeds]])
        draws = np.random.default_rng(0).integers(0, len(seeds), (DRAWS, len(seeds)))
        drawn = [crossing(paid, table[:, draw].mean(1)) / whole for draw in draws]
        tail = interval_tail(len(seeds))
        low, high = np.quantile(drawn, (tail, 1 - tail), method="nearest")
        least = paid[0] / whole
        value = crossing(paid, table.mean(1)) / whole
        return _text(value, least), f"{_text(low, least)} to {_text(high, least)}"


def crossing(paid: Floats, values: Floats) -> float:
    """Where straight lines between arms reach a goal first; lower values are better.

    Args:
        paid: what each arm pays, rising.
        values: those of the arms, then the goal.

    Returns:
        What is paid there; the first arm's if it is as good; on the last line where no arm is;
        infinite if that does not fall.

    Example:
        >>> crossing(np.array([10.0, 20.0]), np.array([3.0, 2.0, 2.5]))
        15.0
    """
    *arms, goal = values.tolist()
    if arms[0] <= goal:
        return float(paid[0])
    end = next((index for index, value in enumerate(arms) if value <= goal), len(arms) - 1)
    fall = arms[end - 1] - arms[end]
    if fall <= 0:
        return float("inf")
    fraction = (arms[end - 1] - goal) / fall
    return float(paid[end - 1] + fraction * (paid[end] - paid[end - 1]))


def _text(ratio: float, least: float) -> str:
    if ratio <= least:
        return f"{least:.2f} or less"
    return f"{ratio:.2f}" if np.isfinite(ratio) else "none"
