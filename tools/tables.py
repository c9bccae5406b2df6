"""Checks that the tables of docs/results have the values of the records of their studies; `--write` updates them."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev

from labelgrid.errors import LabelgridError
from labelgrid.report.statistics import PairComparison, compare
from labelgrid.results import LOSS
from labelgrid.simulation.results import OVERALL, TABLE, Outcome, read_outcomes
from tools.source import ROOT, report

PAGES, RECORDS = "docs/results/*.md", "docs/results/records"
#: What begins the line above a table, and such a line with its table. `Table` says what stands in the table.
BEGIN = "<!-- table of "
MARK = re.compile(
    rf"^{BEGIN}([\w-]+): \./dev check tables, python -m tools\.tables --write -->\n\n"
    r"(\|.*\n\|[-:| ]+\n(?:\|.*(?:\n|\Z))+)",
    re.MULTILINE,
)
UPDATE = "run `.venv/bin/python -m tools.tables --write`"
#: Digits after the point by unit, and other signs for units.
DIGITS, UNITS = {"%": 1, "°": 1}, {"degree": "°"}
NONE = "–"


class TableError(Exception):
    """A table that cannot be filled."""


@dataclass(frozen=True)
class Records:
    """The outcomes of a study."""

    outcomes: Sequence[Outcome]

    @cached_property
    def last(self) -> Mapping[str, Mapping[str, Mapping[int, Outcome]]]:
        """The outcomes after the last rounds, by run and seed, and by task and metric; parts of a loss by their tasks.

        Raises:
            TableError: two runs have one name.
        """
        rounds = {(o.strategy, o.point, o.seed): o.round for o in sorted(self.outcomes, key=lambda o: o.round)}
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
        """The values of a run's metric by seed; the loss of single-task networks is the sum of theirs.

        Raises:
            TableError: as `round`; a value is not finite; or seeds lack the metric or single-task networks.
        """
        self.round(run)
        key = f"{metric.task} {metric.metric}"
        parts = [o for name, o in self.last[run].items() if name == key or name.startswith(f"{key} of ")]
        if any(part.keys() != parts[0].keys() for part in parts):
            raise TableError(f"not all seeds of '{run}' have a network of each task")
        values = {seed: sum(part[seed].value for part in parts) for seed in (parts[0] if parts else ())}
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
            raise TableError(f"no run of the records is '{run}'; there are: {', '.join(sorted(self.last))}")
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
            raise TableError(f"it is not `seeds`, `{LOSS}`, *a text in italics* or one of: {', '.join(sorted(known))}")
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


@dataclass(frozen=True)
class Table:
    """A table of a page: its headings and rows of cells.

    A row is of the run that the last code word of its first cell names (see `run_name`). The other columns' headings
    are `seeds`; `TASK METRIC, UNIT`; `loss_mtl`; one of these followed by `` − `RUN` `` before the unit, for the
    differences to a run; `p (Holm)` for those of the column before it, corrected for all rows with two seeds or more;
    or in italics, for text.
    """

    records: Records
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def filled(self) -> list[list[str]]:
        """The rows with the values of the records.

        Raises:
            TableError: it names a run or a metric that the records do not have.
        """
        columns = [[row[0] for row in self.rows]]
        for place, heading in enumerate(self.headings[1:], 1):
            try:
                columns.append(self._column(place))
            except TableError as error:
                raise TableError(f"column '{heading}': {error}") from error
        return [list(row) for row in zip(*columns, strict=True)]

    def _column(self, place: int) -> list[str]:
        heading = self.headings[place]
        if re.fullmatch(r"\*.+\*", heading):
            return [row[place] for row in self.rows]
        if heading == "seeds":
            return [str(len(self.records.of(run, self.records.metric(LOSS)))) for run in self._runs]
        if heading == "p (Holm)":
            compared = self._compared(self.headings[place - 1])
            return [NONE if c is None or c.seeds < 2 else f"{c.holm:.2g}" for c in compared]
        if " − `" in heading:
            return [difference(c, self._digits(heading)) for c in self._compared(heading)]
        metric = self.records.metric(heading)
        return [spread([*self.records.of(run, metric).values()], self._digits(heading)) for run in self._runs]

    @cached_property
    def _runs(self) -> list[str]:
        names = [re.findall(r"`([^`]+)`", row[0]) for row in self.rows]
        for row, found in zip(self.rows, names, strict=True):
            if not found:
                raise TableError(f"row '{row[0]}' names no run, like `sl`")
        return [found[-1] for found in names]

    def _digits(self, heading: str) -> int:
        return DIGITS.get(heading.partition(", ")[2], 3)

    def _compared(self, heading: str) -> list[PairComparison | None]:
        """Each row compared with a heading's reference over the seeds that both have; None for the reference itself."""
        parts = re.fullmatch(r"(.+) − `([^`]+)`(.*)", heading)
        if parts is None:
            raise TableError("the column before it has no differences")
        metric, reference = self.records.metric(parts[1] + parts[3]), parts[2]
        other, pairs = self.records.of(reference, metric), {}
        for run in self._runs:
            own = self.records.of(run, metric)
            if own.keys() - other.keys():
                raise TableError(f"'{run}' has seeds that '{reference}' lacks")
            if self.records.round(run) != self.records.round(reference):
                raise TableError(f"'{run}' and '{reference}' have had different numbers of rounds")
            if run != reference:
                pairs[run] = ([*own.values()], [other[seed] for seed in own])
        single = {run: pair for run, pair in pairs.items() if len(pair[0]) == 1}
        several = {run: pair for run, pair in pairs.items() if len(pair[0]) > 1}
        compared = {**compare(single, "lower"), **compare(several, "lower")}
        return [compared.get(run) for run in self._runs]


def spread(values: Sequence[float], digits: int) -> str:
    """The mean and the standard deviation.

    Example:
        >>> spread([1.0, 2.0], 1), spread([3.0], 1), spread([], 1)
        ('1.5 ± 0.7', '3.0', '–')
    """
    if not values:
        return NONE
    return shown(mean(values), digits) + (f" ± {shown(stdev(values), digits)}" if len(values) > 1 else "")


def difference(compared: PairComparison | None, digits: int) -> str:
    """The mean difference with its interval, or with the smallest and the largest of few seeds."""
    if compared is None:
        return NONE
    middle, low, high = (shown(value, digits) for value in (compared.mean, compared.low, compared.high))
    return middle if compared.seeds < 2 else f"{middle} ({low} to {high})"


def shown(value: float, digits: int) -> str:
    """A number with so many digits after the point.

    Example:
        >>> shown(-1.25, 1), shown(-0.001, 1)
        ('−1.2', '0.0')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def cells(line: str) -> list[str]:
    r"""The cells of a table's line.

    Example:
        >>> cells("| a | | 1.5 |"), cells(r"| a \| b |")
        (['a', '', '1.5'], ['a \\| b'])
    """
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def table_of(root: Path, mark: re.Match[str]) -> Table:
    """The table below a mark.

    Raises:
        TableError: its study has no records, or a row has more or fewer cells than the first.
    """
    folder = Path(RECORDS) / mark[1]
    if not (root / folder / TABLE).is_file():
        raise TableError(f"there is no {(folder / TABLE).as_posix()}")
    records = Records(read_outcomes(root / folder))
    headings, _, *rows = map(cells, mark[2].splitlines())
    for row in rows:
        if len(row) != len(headings):
            raise TableError(f"row '{row[0]}' has {len(row)} cells, the first row has {len(headings)}")
    return Table(records, headings, rows)


def page_faults(root: Path, file: Path) -> tuple[list[str], str]:
    """The faults of a page, and its text with the values of the records."""
    faults, page = [], file.read_text(encoding="utf-8")
    place = file.relative_to(root).as_posix()

    def filled(mark: re.Match[str]) -> str:
        try:
            table = table_of(root, mark)
            rows = table.filled()
        except (TableError, LabelgridError) as error:
            faults.append(f"{place}, table of {mark[1]}, {error}")
            return mark[0]
        faults.extend(
            f"{place}, table of {mark[1]}, row '{row[0]}': its values are not those of the records; {UPDATE}"
            for row, new in zip(table.rows, rows, strict=True)
            if list(row) != new
        )
        lines = ("|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|\n" for row in rows)
        return mark[0].removesuffix(mark[2]) + "".join([*mark[2].splitlines(keepends=True)[:2], *lines])

    text = MARK.sub(filled, page)
    if len(MARK.findall(page)) < page.count(BEGIN):
        faults.append(
            f"{place}: a line with '{BEGIN}' is not like the others, or has no table with a row two lines below"
        )
    return faults, text


def faults(root: Path) -> list[str]:
    """The rows whose values are not those of the records, and tables that cannot be filled."""
    return [fault for file in sorted(root.glob(PAGES)) for fault in page_faults(root, file)[0]]


def write(root: Path) -> None:
    """Write the values into the tables of all pages; a table that cannot be filled stays as it is."""
    for file in sorted(root.glob(PAGES)):
        file.write_text(page_faults(root, file)[1], encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
