"""Checks that the tables of docs/results have the values of the records of their studies; `--write` updates them."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev

from labelgrid.report.statistics import PairComparison, compare
from labelgrid.results import LOSS
from labelgrid.simulation.results import OVERALL, TABLE, Outcome, read_outcomes
from tools.source import ROOT, report

PAGES, RECORDS = "docs/results/*.md", "docs/results/records"
#: A table and the line above it. The last code word of a row's first cell is the name of a run (see `run_name`).
#: Columns with other headings than those of `Table` are text.
MARK = re.compile(r"<!-- table of ([\w-]+): \./dev check tables, python -m tools\.tables --write -->\n\n((?:\|.*\n)+)")
UPDATE = "run `.venv/bin/python -m tools.tables --write`"
#: Digits after the point by unit.
DIGITS = {"%": 1, "°": 1}
UNITS = {"degree": "°"}
NONE = "–"


class TableError(Exception):
    """A table that cannot be filled."""


@dataclass(frozen=True)
class Records:
    """The outcomes of a study's last rounds."""

    outcomes: Sequence[Outcome]

    @cached_property
    def values(self) -> Mapping[tuple[str, str, str], Mapping[int, float]]:
        """The values by run, task and metric, and by seed; the loss of single-task networks is their sum."""
        last = {(o.strategy, o.point, o.seed): o.round for o in sorted(self.outcomes, key=lambda o: o.round)}
        found: dict[tuple[str, str, str], dict[int, float]] = {}
        for o in self.outcomes:
            if o.round == last[o.strategy, o.point, o.seed]:
                seeds = found.setdefault((run_name(o), o.task, o.metric), {})
                seeds[o.seed] = seeds.get(o.seed, 0.0) + o.value
        return found

    def runs(self) -> list[str]:
        """The names of the runs."""
        return sorted({run for run, _, _ in self.values})

    def of(self, run: str, task: str, metric: str) -> Mapping[int, float]:
        """The values of a run by seed.

        Raises:
            TableError: there is no such run.
        """
        if run not in self.runs():
            raise TableError(f"no run of the records is '{run}'; there are: {', '.join(self.runs())}")
        return self.values.get((run, task, metric), {})

    def metric(self, heading: str) -> Outcome | None:
        """An outcome with the metric of a heading, `TASK METRIC, UNIT` or the loss; None if it is a text's heading.

        Raises:
            TableError: the task has no such metric, or it has another unit.
        """
        name, _, unit = heading.partition(", ")
        task, _, metric = (OVERALL, "", LOSS) if name == LOSS else name.partition(" ")
        of_task = {o.metric: o for o in self.outcomes if o.task == task}
        if not of_task:
            return None
        if metric not in of_task:
            raise TableError(f"{task} has no metric '{metric}'; it has: {', '.join(of_task)}")
        found = of_task[metric]
        if UNITS.get(found.unit, found.unit) != unit:
            raise TableError(f"the unit of {name} is '{UNITS.get(found.unit, found.unit)}'")
        return found


@dataclass(frozen=True)
class Table:
    """A table of a page: its headings and rows of cells.

    The headings are `TASK METRIC, UNIT`, `loss_mtl`, any of them followed by `` − `RUN` `` for the differences to a
    run, `p (Holm)` for those of the column before it, and `seeds`.
    """

    records: Records
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def filled(self) -> list[list[str]]:
        """The rows with the values of the records.

        Raises:
            TableError: it names a run or a metric that the records do not have.
        """
        columns = [self._column(place) for place in range(len(self.headings))]
        return [list(row) for row in zip(*columns, strict=True)]

    def _column(self, place: int) -> Sequence[str]:
        heading = self.headings[place]
        try:
            if heading == "seeds":
                return [str(len(self.records.of(run, OVERALL, LOSS))) for run in self._runs]
            if heading == "p (Holm)":
                return [NONE if c is None or c.seeds < 2 else f"{c.holm:.2g}" for c in self._compared(place - 1)]
            if self._reference(place):
                return [difference(c, self._digits(place)) for c in self._compared(place)]
            metric = self.records.metric(heading)
            if metric is None:
                return [row[place] for row in self.rows]
            found = [self.records.of(run, metric.task, metric.metric) for run in self._runs]
            return [spread(list(values.values()), self._digits(place)) for values in found]
        except TableError as error:
            raise TableError(f"column '{heading}': {error}") from error

    @cached_property
    def _runs(self) -> list[str]:
        found = {row[0]: re.findall(r"`([^`]+)`", row[0]) for row in self.rows}
        for title, names in found.items():
            if not names:
                raise TableError(f"row '{title}' names no run, like `sl`")
            try:
                self.records.of(names[-1], OVERALL, LOSS)
            except TableError as error:
                raise TableError(f"row '{title}': {error}") from error
        return [names[-1] for names in found.values()]

    def _reference(self, place: int) -> str:
        """The run that a column's differences are from; an empty text for a column without differences."""
        found = re.fullmatch(r".+ − `([^`]+)`(, .*)?", self.headings[place])
        return found[1] if found else ""

    def _measured(self, place: int) -> Outcome:
        found = self.records.metric(re.sub(r" − `.+`", "", self.headings[place]))
        if found is None:
            raise TableError("it is not a metric's")
        return found

    def _digits(self, place: int) -> int:
        return DIGITS.get(UNITS.get(unit := self._measured(place).unit, unit), 3)

    def _compared(self, place: int) -> list[PairComparison | None]:
        """Each row compared with the reference over the seeds that both have; None for the reference itself."""
        metric, reference = self._measured(place), self._reference(place)
        other = self.records.of(reference, metric.task, metric.metric)
        pairs = {}
        for run in self._runs:
            own = self.records.of(run, metric.task, metric.metric)
            shared = sorted(own.keys() & other.keys())
            if run != reference and shared:
                pairs[run] = ([own[seed] for seed in shared], [other[seed] for seed in shared])
        compared = compare(pairs, "higher" if metric.better == "higher" else "lower")
        return [compared.get(run) for run in self._runs]


def run_name(outcome: Outcome) -> str:
    """The name of a run in a table: its arm, that of single-task networks without the task, and its recipe keys.

    Example:
        >>> keys = "train.label_visits=20, train.learning_rate=0.001"
        >>> run_name(Outcome("single", "single.sl.depth", 0, keys, 0, 1, 1, 1.0, "depth", "RMSE", 1.0, "m", "lower"))
        'single.sl, label_visits=20, learning_rate=0.001'
    """
    arm = outcome.strategy.rpartition(".")[0] if outcome.kind == "single" else outcome.strategy
    return ", ".join([arm, *re.findall(r"[^.,\s=]+=[^,]+", outcome.point)])


def spread(values: Sequence[float], digits: int) -> str:
    """The mean and the standard deviation.

    Example:
        >>> spread([1.0, 2.0], 1), spread([3.0], 1), spread([], 1)
        ('1.5 ± 0.7', '3.0', '–')
    """
    if not values:
        return NONE
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{deviation}"


def difference(compared: PairComparison | None, digits: int) -> str:
    """The mean difference with its interval, or the smallest and the largest of few seeds."""
    if compared is None or not math.isfinite(compared.mean):
        return NONE
    middle, low, high = (f"{v:.{digits}f}".replace("-", "−") for v in (compared.mean, compared.low, compared.high))
    return middle if compared.seeds < 2 else f"{middle} ({low} to {high})"


def cells(line: str) -> list[str]:
    """The cells of a table's line.

    Example:
        >>> cells("| a | | 1.5 |")
        ['a', '', '1.5']
    """
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def table_of(root: Path, mark: re.Match[str]) -> Table:
    """The table below a mark.

    Raises:
        TableError: its study has no records.
    """
    folder = Path(RECORDS) / mark[1]
    if not (root / folder / TABLE).is_file():
        raise TableError(f"there is no {(folder / TABLE).as_posix()}")
    head, _, *rows = mark[2].splitlines()
    return Table(Records(read_outcomes(root / folder)), cells(head), [cells(row) for row in rows])


def faults(root: Path) -> list[str]:
    """The rows whose values are not those of the records, and tables that cannot be filled."""
    return [
        f"{file.relative_to(root).as_posix()}, table of {mark[1]}, {fault}"
        for file in sorted(root.glob(PAGES))
        for mark in MARK.finditer(file.read_text(encoding="utf-8"))
        for fault in table_faults(root, mark)
    ]


def table_faults(root: Path, mark: re.Match[str]) -> list[str]:
    """What is wrong with the table below a mark."""
    try:
        table = table_of(root, mark)
        changed = [old for old, new in zip(table.rows, table.filled(), strict=True) if list(old) != new]
    except TableError as error:
        return [str(error)]
    return [f"row '{row[0]}': its values are not those of the records; {UPDATE}" for row in changed]


def write(root: Path) -> None:
    """Write the values into the tables of all pages.

    Raises:
        TableError: a table cannot be filled.
    """

    def filled(mark: re.Match[str]) -> str:
        lines = (f"| {' | '.join(row)} |\n".replace("|  |", "| |") for row in table_of(root, mark).filled())
        return mark[0].removesuffix(mark[2]) + "".join([*mark[2].splitlines(keepends=True)[:2], *lines])

    for file in sorted(root.glob(PAGES)):
        page = file.read_text(encoding="utf-8")
        if (text := MARK.sub(filled, page)) != page:
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
