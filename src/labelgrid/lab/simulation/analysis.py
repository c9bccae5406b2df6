"""Defines the interface of analyses of a study, and the means of their findings over seeds.

Loads no torch.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from labelgrid.basics.progress import Progress
from labelgrid.basics.results import Result, mean_and_deviation
from labelgrid.drawings.charts import Line
from labelgrid.drawings.drawing import Drawing
from labelgrid.drawings.wording import add_unit
from labelgrid.lab.simulation.runs import Run, describe_point
from labelgrid.lab.simulation.study_recipe import Kind

#: What a number is about, by column, such as {"round": 2, "task": "depth"}.
Keys = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A number that was found in a run.

    Args:
        run: the run.
        keys: what the number is of.
        result: the number.
        count: the number of labels, or of pixels, that it covers.
        headline: whether it is drawn and shown on the screen; other numbers are in the files alone.
    """

    run: Run
    keys: Keys
    result: Result
    count: int
    headline: bool = True

    def row(self) -> dict[str, object]:
        """The columns of a table with the values of the finding."""
        return {
            "kind": self.run.kind,
            "arm": self.run.name,
            "seed": self.run.seed,
            "point": describe_point(self.run.point),
            **self.keys,
            **_result_columns(self.result),
            "count": self.count,
        }


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of a number over the seeds of an arm.

    Args:
        arm: the name of the runs.
        point: their values of recipe keys, as text.
        keys: what the number is of.
        result: the mean.
        deviation: the standard deviation over seeds; NaN for one seed.
        seeds: the number of seeds.
        count: the mean number of labels, or of pixels, that it covers. mIoU over few images is
            lower than over many.
        headline: as in `Finding`.
    """

    arm: str
    point: str
    keys: Keys
    result: Result
    deviation: float
    seeds: int
    count: float
    headline: bool = True

    @property
    def axis_label(self) -> str:
        """The metric with unit, and whether higher or lower is better."""
        return f"{add_unit(self.result.name, self.result.unit)}, {self.result.better} is better"

    def titled(self, title: str) -> str:
        """The title of a drawing, with the point if there is one."""
        return f"{title}, {self.point}" if self.point else title

    def row(self) -> dict[str, object]:
        """The columns of a table with the values of the mean."""
        return {
            "arm": self.arm,
            "point": self.point,
            **self.keys,
            **_result_columns(self.result),
            "deviation": self.deviation,
            "seeds": self.seeds,
            "count": self.count,
        }


class Analysis(Protocol):
    """Finds numbers in the runs of a finished study, and draws them.

    An analysis is a file of this folder with `build(options)` and the dataclass `Options`. It may
    read the hidden labels, since the runs have ended.
    """

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of runs for `findings`."""

    @property
    def within(self) -> frozenset[str]:
        """The columns over which a run's numbers are averaged before the mean over seeds."""

    @property
    def needs(self) -> str:
        """What a study must have, as the end of "No run has …"."""

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterable[Finding]:
        """The numbers of all runs, each with the folder of its project.

        Raises:
            LabelgridError: a file of a run is missing or damaged.
        """

    def drawings(self, means: Sequence[Mean]) -> Sequence[Drawing]:
        """Draw the means of the headline numbers."""


def means_of(findings: Iterable[Finding], within: frozenset[str]) -> Iterator[Mean]:
    """Average the findings over seeds, in their order.

    Each seed counts once, however many numbers it has.

    Example:
        >>> first = Finding(
        ...     run=Run(kind="strategy", name="partal", seed=0),
        ...     keys={"task": "depth"},
        ...     result=Result("RMSE", 1.0, "m", "lower"),
        ...     count=5,
        ... )
        >>> run = Run(kind="strategy", name="partal", seed=1)
        >>> second = replace(first, run=run, result=Result("RMSE", 3.0, "m", "lower"))
        >>> [(mean.result.value, mean.seeds) for mean in means_of([first, second], frozenset())]
        [(2.0, 2)]
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        values = tuple(value for name, value in finding.keys.items() if name not in within)
        key = (finding.run.name, describe_point(finding.run.point), values, finding.result.name)
        groups.setdefault(key, []).append(finding)
    for group in groups.values():
        yield _mean(group, within)


def _mean(group: Sequence[Finding], within: frozenset[str]) -> Mean:
    first = group[0]
    by_seed: dict[int, list[float]] = {}
    for finding in group:
        by_seed.setdefault(finding.run.seed, []).append(finding.result.value)
    seed_means = [mean_and_deviation(values)[0] for values in by_seed.values()]
    value, deviation = mean_and_deviation(seed_means)
    return Mean(
        arm=first.run.name,
        point=describe_point(first.run.point),
        keys={name: key for name, key in first.keys.items() if name not in within},
        result=replace(first.result, value=value),
        deviation=deviation,
        seeds=len(by_seed),
        count=mean_and_deviation([finding.count for finding in group])[0],
        headline=first.headline,
    )


def lines_of(means: Iterable[Mean], x: str, name: Callable[[Mean], str]) -> list[Line]:
    """Turn means into lines over the column `x`.

    Their bands reach one standard deviation to either side.
    """
    by_name: dict[str, list[Mean]] = {}
    for mean in sorted(means, key=lambda mean: mean.keys[x]):
        by_name.setdefault(name(mean), []).append(mean)
    return [_line(line_name, group, x) for line_name, group in by_name.items()]


def _line(name: str, means: Sequence[Mean], x: str) -> Line:
    return Line(
        name=name,
        x=[float(mean.keys[x]) for mean in means],
        y=[mean.result.value for mean in means],
        low=[mean.result.value - mean.deviation for mean in means],
        high=[mean.result.value + mean.deviation for mean in means],
    )


def group_means(means: Iterable[Mean], *names: str) -> dict[tuple[object, ...], list[Mean]]:
    """Group means by point, metric and the named columns, in their order.

    Each group is for one drawing.
    """
    groups: dict[tuple[object, ...], list[Mean]] = {}
    for mean in means:
        key = (mean.point, mean.result.name, *(mean.keys[name] for name in names))
        groups.setdefault(key, []).append(mean)
    return groups


def _result_columns(result: Result) -> dict[str, object]:
    return {
        "metric": result.name,
        "value": result.value,
        "unit": result.unit,
        "better": result.better,
    }
