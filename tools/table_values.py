"""Computes the values of a table of docs/results from the records of its study."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev

from labelgrid.report.statistics import PairComparison, compare
from labelgrid.results import LOSS
from tools.table_records import Records, TableError

#: Digits after the point by unit.
DIGITS = {"%": 1, "°": 1}
NONE = "–"
#: The headings of p-values, corrected for all rows of the table, or of all tables of the page with
#: this heading.
P_TABLE = "p (Holm)"
P_PAGE = "p (Holm, page)"
#: The values of a run and of another, of the same seeds.
Pair = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Table:
    """A table of a page: its headings and rows of cells.

    A row is of the run that the last code word of its first cell names (see `run_name`). The other
    columns' headings are `seeds`; `TASK METRIC, UNIT`; `loss_mtl`; one of these followed by `` −
    `RUN` `` before the unit, for the differences to a run; `P_TABLE` or `P_PAGE` for those of the
    column before it, where a row has two seeds or more; or in italics, for text.
    """

    records: Records
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def filled(self, page: Mapping[str, float]) -> list[list[str]]:
        """The rows with the values of the records.

        Args:
            page: the p-values of `P_PAGE` by run.

        Raises:
            TableError: it names a run or a metric that the records do not have, or `page` lacks a
                run.
        """
        columns = [[row[0] for row in self.rows]]
        for place, heading in enumerate(self.headings[1:], 1):
            try:
                columns.append(self._p_of_page(page) if heading == P_PAGE else self._column(place))
            except TableError as error:
                raise TableError(f"column '{heading}': {error}") from error
        return [list(row) for row in zip(*columns, strict=True)]

    def page_pairs(self) -> dict[str, Pair]:
        """The values that `P_PAGE` compares, by run; none without such a column.

        Raises:
            TableError: as `filled`.
        """
        if P_PAGE not in self.headings:
            return {}
        pairs = self._pairs(self.headings[self.headings.index(P_PAGE) - 1])
        return {run: pair for run, pair in pairs.items() if len(pair[0]) > 1}

    def _p_of_page(self, page: Mapping[str, float]) -> list[str]:
        if missing := self.page_pairs().keys() - page.keys():
            raise TableError(
                f"'{min(missing)}' has no p-value, because another table of the page cannot be filled"
            )
        return [f"{page[run]:.2g}" if run in page else NONE for run in self._runs]

    def _column(self, place: int) -> list[str]:
        heading = self.headings[place]
        if re.fullmatch(r"\*.+\*", heading):
            return [row[place] for row in self.rows]
        if heading == "seeds":
            return [str(len(self.records.of(run, self.records.metric(LOSS)))) for run in self._runs]
        if heading == P_TABLE:
            compared = self._compared(self.headings[place - 1])
            return [NONE if c is None or c.seeds < 2 else f"{c.holm:.2g}" for c in compared]
        if " − `" in heading:
            return [difference(c, self._digits(heading)) for c in self._compared(heading)]
        metric = self.records.metric(heading)
        return [
            spread([*self.records.of(run, metric).values()], self._digits(heading))
            for run in self._runs
        ]

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
        """Each row compared with a heading's reference over the seeds that both have.

        None for the reference itself.
        """
        pairs = self._pairs(heading)
        single = {run: pair for run, pair in pairs.items() if len(pair[0]) == 1}
        several = {run: pair for run, pair in pairs.items() if len(pair[0]) > 1}
        compared = {**compare(single, "lower"), **compare(several, "lower")}
        return [compared.get(run) for run in self._runs]

    def _pairs(self, heading: str) -> dict[str, Pair]:
        """The values of each row's run and of a heading's reference, by run, of the run's seeds."""
        parts = re.fullmatch(r"(.+) − `([^`]+)`(.*)", heading)
        if parts is None:
            raise TableError("the column before it has no differences")
        metric = self.records.metric(parts[1] + parts[3])
        reference = parts[2]
        other = self.records.of(reference, metric)
        pairs = {}
        for run in self._runs:
            own = self.records.of(run, metric)
            if own.keys() - other.keys():
                raise TableError(f"'{run}' has seeds that '{reference}' lacks")
            if self.records.round(run) != self.records.round(reference):
                raise TableError(f"'{run}' and '{reference}' have had different numbers of rounds")
            if run != reference:
                pairs[run] = ([*own.values()], [other[seed] for seed in own])
        return pairs


def page_p(tables: Mapping[int, Table]) -> dict[int, dict[str, float]]:
    """The p-values of `P_PAGE` by run, of each table of a page, corrected for all of them together (Holm 1979).

    Raises:
        TableError: as `Table.filled`.
    """
    pairs = {
        (key, run): pair
        for key, table in tables.items()
        for run, pair in table.page_pairs().items()
    }
    corrected: dict[int, dict[str, float]] = {key: {} for key in tables}
    for (key, run), compared in compare(pairs, "lower").items():
        corrected[key][run] = compared.holm
    return corrected


def spread(values: Sequence[float], digits: int) -> str:
    """The mean and the standard deviation.

    Example:
        >>> spread([1.0, 2.0], 1), spread([3.0], 1), spread([], 1)
        ('1.5 ± 0.7', '3.0', '–')
    """
    if not values:
        return NONE
    return shown(mean(values), digits) + (
        f" ± {shown(stdev(values), digits)}" if len(values) > 1 else ""
    )


def difference(compared: PairComparison | None, digits: int) -> str:
    """The mean difference with its interval, or with the smallest and the largest of few seeds."""
    if compared is None:
        return NONE
    middle, low, high = (
        shown(value, digits) for value in (compared.mean, compared.low, compared.high)
    )
    return middle if compared.seeds < 2 else f"{middle} ({low} to {high})"


def shown(value: float, digits: int) -> str:
    """A number with so many digits after the point.

    Example:
        >>> shown(-1.25, 1), shown(-0.001, 1)
        ('−1.2', '0.0')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
