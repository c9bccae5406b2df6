"""Defines the content of a study's report as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from labelgrid.drawings.request_history import RequestHistory
from labelgrid.project.records import Measurement
from labelgrid.report.content import Hint, PoolUncertainty, RoundPicks, TaskPictures

#: By task, the metric of its curve.
Headlines = Mapping[str, str]
#: The state of a run.
RunState = Literal["done", "running", "stopped", "failed", "unfinished", "not started"]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The result of one run.

    Args:
        key: its name, unique in the study.
        kind: start, strategy or full.
        strategy: its name.
        seed: the seed of the run.
        measured: the metrics of its networks, in order; all strategies of a seed share the first
            network.
        state: the state of the run.
        fault: why it failed.
        expected: the number of networks it trains at most.
        point: the values of recipe keys that it depends on, as text.
    """

    key: str
    kind: str
    strategy: str
    seed: int
    measured: Sequence[Measurement]
    state: RunState = "done"
    fault: str = ""
    expected: int = 0
    point: str = ""


@dataclass(frozen=True, kw_only=True)
class RunDetails:
    """Details of a run: requests, the pool's uncertainty, the last picks and predictions."""

    strategy: str
    seed: int
    requests: RequestHistory | None = None
    uncertainty: PoolUncertainty = field(default_factory=dict)
    picked: RoundPicks | None = None
    predictions: Sequence[TaskPictures] = ()

    @property
    def title(self) -> str:
        """The strategy and the seed, for headings."""
        return f"{self.strategy}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class PointResults:
    """The runs of a point of the study's grid, for comparisons within the point.

    Args:
        point: its values of recipe keys, as text; "" without a grid.
        strategies: the strategies in display order.
        runs: all runs of the point.
        details: facts about one run of each strategy.
        best_of: groups of arms by name; the report shows the best arm of a group after each round,
            in hindsight.
        single: networks of one task each with the same initial labels, joined as one, by name and
            seed: each task's metrics come from the task's own network.
        single_of: for each strategy, the name of the networks with the strategy's initial labels;
            "full": with every label.
    """

    point: str
    strategies: Sequence[str]
    runs: Sequence[RunResult]
    details: Sequence[RunDetails] = ()
    best_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    single: Mapping[str, Mapping[int, Measurement]] = field(default_factory=dict)
    single_of: Mapping[str, str] = field(default_factory=dict)

    def of(self, strategy: str) -> dict[int, RunResult]:
        """The runs of a strategy with at least one measured network, finished or not, by seed."""
        by_seed = {}
        for run in self.runs:
            if run.kind == "strategy" and run.strategy == strategy and run.measured:
                by_seed[run.seed] = run
        return by_seed

    def finished(self, strategy: str) -> dict[int, RunResult]:
        """The finished runs of a strategy by seed; only these may be compared."""
        return {seed: run for seed, run in self.of(strategy).items() if run.state == "done"}

    @property
    def finished_by_seed(self) -> dict[int, dict[str, RunResult]]:
        """The finished runs of each strategy, by seed."""
        by_seed: dict[int, dict[str, RunResult]] = {}
        for name in self.strategies:
            for seed, run in self.finished(name).items():
                by_seed.setdefault(seed, {})[name] = run
        return by_seed

    @property
    def full(self) -> dict[int, Measurement]:
        """The metrics of the network trained on every label, by seed."""
        by_seed = {}
        for run in self.runs:
            if run.kind == "full" and run.measured:
                by_seed[run.seed] = run.measured[-1]
        return by_seed

    def single_task(self, name: str) -> Mapping[int, Measurement]:
        """The metrics of single-task networks trained on a strategy's initial labels, by seed.

        The name "full" stands for the networks trained on every label.
        """
        return self.single.get(self.single_of.get(name, ""), {})


@dataclass(frozen=True, kw_only=True)
class StudyReport:
    """The content of a study's report.

    Args:
        name: the name of the study.
        made: when the report was made, as text.
        about: settings and versions, one per line.
        headlines: the metric of each task's curve.
        costs: the cost of a label of each task.
        reference: the strategy that the others are compared with.
        points: the points of the study's grid.
        hints: what each section lacks.
        notes: what limits the comparison of its runs.
    """

    name: str
    made: str
    about: Mapping[str, str]
    headlines: Headlines
    costs: Mapping[str, float]
    reference: str
    points: Sequence[PointResults]
    hints: Mapping[str, Hint] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def runs(self) -> list[RunResult]:
        """All runs, each once; points of the grid may share start runs and full runs."""
        by_key = {}
        for results in self.points:
            for run in results.runs:
                by_key[run.key] = run
        return list(by_key.values())
