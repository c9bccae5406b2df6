"""Reads the outcomes of a study for the tables beside its records."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from labelgrid.basics.results import LOSS
from labelgrid.lab.simulation.study_results import OVERALL, Outcome

#: Other signs for units.
UNITS = {"degree": "°"}


class TableError(Exception):
    """A table that cannot be made."""


@dataclass(frozen=True)
class Records:
    """The outcomes of a study."""

    outcomes: Sequence[Outcome]

    @cached_property
    def last(self) -> Mapping[str, Mapping[str, Mapping[int, Outcome]]]:
        """The outcomes after the last rounds, by run and seed, and by task and metric.

        Parts of a loss by their tasks.

        Raises:
            TableError: two runs have one name.
        """
        rounds = {
            (o.strategy, o.point, o.seed): o.round
            for o in sorted(self.outcomes, key=lambda o: o.round)
        }
        last: dict[str, dict[str, dict[int, Outcome]]] = {}
        for o in self.outcomes:
            if o.round != rounds[o.strategy, o.point, o.seed]:
                continue
            part = f" of {o.strategy}" if o.kind == "single" and o.metric == LOSS else ""
            seeds = last.setdefault(run_name(o), {}).setdefault(f"{o.task} {o.metric}{part}", {})
            if o.seed in seeds:
                raise TableError(f"two runs of the records are '{run_name(o)}'")
            seeds[o.seed] = o
        return last

    @cached_property
    def runs(self) -> Sequence[str]:
        """The names of the runs to compare, by their loss.

        Then the networks of every label and the first ones.
        """
        kinds = {run_name(o): o.kind for o in self.outcomes if not o.strategy.startswith("start.")}
        loss = self.metric(LOSS)
        order = {"strategy": 0, "single": 0, "full": 1, "start": 2}

        def place(run: str) -> tuple[int, float]:
            values = self.of(run, loss).values()
            return order[kinds[run]], sum(values) / len(values)

        return sorted(kinds, key=place)

    def of(self, run: str, metric: Outcome) -> dict[int, float]:
        """The values of a run's metric by seed.

        The loss of single-task networks is the sum of theirs.

        Raises:
            TableError: as `round`; a value is not finite; or seeds lack the metric or single-task
                networks.
        """
        self.round(run)
        key = f"{metric.task} {metric.metric}"
        parts = [
            o for name, o in self.last[run].items() if name == key or name.startswith(f"{key} of ")
        ]
        if any(part.keys() != parts[0].keys() for part in parts):
            raise TableError(f"not all seeds of '{run}' have a network of each task")
        values: dict[int, float] = {}
        for part in parts:
            for seed, outcome in part.items():
                values[seed] = values.get(seed, 0) + outcome.value
        if values and values.keys() != self._seeds(run):
            raise TableError(f"not all seeds of '{run}' have {key}")
        if not all(map(math.isfinite, values.values())):
            raise TableError(f"a value of '{run}' is not a finite number")
        return values

    def cost(self, run: str) -> float:
        """The mean cost of a run's labels; of single-task networks that of all of their labels."""
        parts = {
            (o.strategy, seed): o.cost
            for ends in self.last[run].values()
            for seed, o in ends.items()
        }
        return sum(parts.values()) / len(self._seeds(run))

    def _seeds(self, run: str) -> set[int]:
        return {seed for ends in self.last[run].values() for seed in ends}

    def round(self, run: str) -> int:
        """The last round of a run.

        Raises:
            TableError: there is no such run, or its seeds have had different numbers of rounds.
        """
        if run not in self.last:
            raise TableError(
                f"no run of the records is '{run}'; there are: {', '.join(sorted(self.last))}"
            )
        rounds = {o.round for seeds in self.last[run].values() for o in seeds.values()}
        if len(rounds) > 1:
            raise TableError(f"the seeds of '{run}' have had different numbers of rounds")
        return rounds.pop()

    def metric(self, name: str) -> Outcome:
        """An outcome with a metric, such as "depth RMSE", or with the loss.

        Raises:
            TableError: there is none.
        """
        metrics = {f"{o.task} {o.metric}": o for o in self.outcomes if o.task != OVERALL}
        metrics |= {o.metric: o for o in self.outcomes if o.metric == LOSS}
        if name not in metrics:
            raise TableError(
                f"no metric of the records is '{name}'; there are: {', '.join(sorted(metrics))}"
            )
        return metrics[name]


def run_name(outcome: Outcome) -> str:
    """The name of a run in a table: its arm and its recipe keys.

    The arm of single-task networks is named without the task. See `with_keys`.
    """
    arm = outcome.strategy.rpartition(".")[0] if outcome.kind == "single" else outcome.strategy
    return with_keys(arm, outcome.point)


def with_keys(arm: str, point: str) -> str:
    """The name of an arm with its recipe keys.

    Example:
        >>> with_keys("sl", "data.size=[64, 96], train.steps=7"), with_keys("sl", "")
        ('sl, size=[64, 96], steps=7', 'sl')
    """
    return ", ".join([arm, *re.findall(r"([^.,\s=]+=.+?)(?:, (?=[\w.]+=)|$)", point)])


def unit(outcome: Outcome) -> str:
    """The sign of a metric's unit."""
    return UNITS.get(outcome.unit, outcome.unit)
