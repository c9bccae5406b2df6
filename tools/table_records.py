"""Reads the outcomes of a study for the tables of docs/results."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from labelgrid.results import LOSS
from labelgrid.simulation.results import OVERALL, Outcome

#: Other signs for units.
UNITS = {"degree": "°"}


class TableError(Exception):
    """A table that cannot be filled."""


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
        found: dict[str, dict[str, dict[int, Outcome]]] = {}
        for o in self.outcomes:
            if o.round != rounds[o.strategy, o.point, o.seed]:
                continue
            part = f" of {o.strategy}" if o.kind == "single" and o.metric == LOSS else ""
            seeds = found.setdefault(run_name(o), {}).setdefault(f"{o.task} {o.metric}{part}", {})
            if o.seed in seeds:
                raise TableError(f"two runs of the records are '{run_name(o)}'")
            seeds[o.seed] = o
        return found

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
        values = {
            seed: sum(part[seed].value for part in parts) for seed in (parts[0] if parts else ())
        }
        seeds = {seed for found in self.last[run].values() for seed in found}
        if values and values.keys() != seeds:
            raise TableError(f"not all seeds of '{run}' have {key}")
        if not all(map(math.isfinite, values.values())):
            raise TableError(f"a value of '{run}' is not a finite number")
        return values

    def round(self, run: str) -> int:
        """The last round of a run.

        Raises:
            TableError: there is no such run, or its seeds have had different numbers of rounds.
        """
        if run not in self.last:
            raise TableError(
                f"no run of the records is '{run}'; there are: {', '.join(sorted(self.last))}"
            )
        found = {o.round for seeds in self.last[run].values() for o in seeds.values()}
        if len(found) > 1:
            raise TableError(f"the seeds of '{run}' have had different numbers of rounds")
        return found.pop()

    def metric(self, heading: str) -> Outcome:
        """An outcome with the metric of a heading, `TASK METRIC, UNIT` or the loss.

        Raises:
            TableError: there is none, or it has another unit.
        """
        name, _, given = heading.partition(", ")
        task, _, metric = (OVERALL, "", LOSS) if name == LOSS else name.partition(" ")
        known = {f"{o.task} {o.metric}": o for o in self.outcomes if o.task != OVERALL}
        known |= {f"{OVERALL} {LOSS}": o for o in self.outcomes if o.metric == LOSS}
        if (found := known.get(f"{task} {metric}")) is None:
            raise TableError(
                f"it is not `seeds`, `{LOSS}`, *a text in italics* or one of: {', '.join(sorted(known))}"
            )
        if unit(found) != given:
            raise TableError(f"the unit of {name} is '{unit(found)}'")
        return found


def run_name(outcome: Outcome) -> str:
    """The name of a run in a table: its arm, that of single-task networks without the task, and its recipe keys.

    Example:
        >>> keys = "data.size=[64, 96], train.learning_rate=0.001"
        >>> run_name(Outcome("single", "single.sl.depth", 0, keys, 0, 1, 1, 1.0, "depth", "RMSE", 1.0, "m", "lower"))
        'single.sl, size=[64, 96], learning_rate=0.001'
    """
    arm = outcome.strategy.rpartition(".")[0] if outcome.kind == "single" else outcome.strategy
    return ", ".join([arm, *re.findall(r"([^.,\s=]+=.+?)(?:, (?=[\w.]+=)|$)", outcome.point)])


def unit(outcome: Outcome) -> str:
    """The sign of a metric's unit."""
    return UNITS.get(outcome.unit, outcome.unit)
