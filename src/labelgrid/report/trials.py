"""What the runs of a study reached, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from labelgrid.report.asked import RequestHistory
from labelgrid.report.content import Hint, Measured, Picked, Unsure

#: How far a run is.
Ending = Literal["done", "failed", "unfinished", "not begun"]


@dataclass(frozen=True)
class RunResult:
    """One run.

    Args:
        kind: start, strategy or full.
        measured: its networks, in order; of a strategy the first is the one all of the seed begin with.
        ending: how far it is; fault: why it failed; wanted: how many networks it is to train.
        point: the values of recipe keys that it depends on, as text.
    """

    key: str
    kind: str
    strategy: str
    seed: int
    measured: Sequence[Measured]
    ending: Ending = "done"
    fault: str = ""
    wanted: int = 0
    point: str = ""


@dataclass(frozen=True)
class Seen:
    """A run looked at closely: what it asked for, how unsure its networks were, the cells it picked last."""

    strategy: str
    seed: int
    asked: RequestHistory | None = None
    unsure: Unsure = field(default_factory=dict)
    picked: Picked | None = None


@dataclass(frozen=True)
class PointResults:
    """The runs of one point of the study's grid, which are compared.

    Args:
        point: its values of recipe keys, as text; "" where there is no grid.
        strategies: in the order to show them.
        seen: a run of each strategy.
    """

    point: str
    strategies: Sequence[str]
    runs: Sequence[RunResult]
    seen: Sequence[Seen] = ()

    def of(self, strategy: str) -> dict[int, RunResult]:
        """The runs of a strategy by seed, finished or not, that have measured anything."""
        return {r.seed: r for r in self.runs if r.kind == "strategy" and r.strategy == strategy and r.measured}

    def finished(self, strategy: str) -> dict[int, RunResult]:
        """The finished runs of a strategy by seed: the ones that may be compared."""
        return {seed: run for seed, run in self.of(strategy).items() if run.ending == "done"}

    @property
    def full(self) -> dict[int, Measured]:
        """By seed, the network that learned from every label."""
        return {r.seed: r.measured[-1] for r in self.runs if r.kind == "full" and r.measured}


@dataclass(frozen=True)
class StudyReport:
    """All a study's report says.

    Args:
        headlines: by task, the metric that its curve shows.
        prices: by task, the cost of a label.
        reference: the strategy whose final loss the others are to reach.
        hints: by section, what it lacks.
    """

    name: str
    made: str
    about: Mapping[str, str]
    headlines: Mapping[str, str]
    prices: Mapping[str, float]
    reference: str
    trials: Sequence[PointResults]
    hints: Mapping[str, Hint] = field(default_factory=dict)

    @property
    def runs(self) -> list[RunResult]:
        """All runs; several points of the grid may share those that all begin with, and `full`."""
        return list({run.key: run for trial in self.trials for run in trial.runs}.values())
