"""Makes the table of a study's runs after their last rounds from its records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from labelgrid.basics.comparison import MIN_PAIRS, PairComparison, compare
from labelgrid.basics.results import LOSS
from labelgrid.lab.simulation.study_results import Outcome
from tools.table_about import About, RunsTable
from tools.table_records import Records, TableError, unit

#: Digits after the point by unit.
DIGITS = {"%": 1, "°": 1}
NONE = "–"
#: What the rows of kinds of runs are.
KINDS = {"full": "every label", "start": "the first network"}
#: The values of a run and of another, of the same seeds.
Pair = tuple[list[float], list[float]]
#: Values of whole campaigns by run, by the heading of their column.
Columns = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, kw_only=True)
class RunsRows:
    """A table of runs.

    Args:
        records: of the study.
        about: the study.
        spec: which runs, and which of them is the reference.
        metrics: the names of its metrics.
        columns: further ones.
    """

    records: Records
    about: About
    spec: RunsTable
    metrics: Sequence[str]
    columns: Columns

    @property
    def runs(self) -> Sequence[str]:
        """The names of its rows."""
        return self.spec.runs or self.records.runs

    def markdown(self, further: Mapping[str, Pair]) -> str:
        """The table.

        Args:
            further: pairs of other studies, for whose number the p-values are corrected, too.

        Raises:
            TableError: it names a run or a metric that the records do not have.
        """
        columns: dict[str, Sequence[str]] = {"run": [f"`{run}`" for run in self.runs]}
        columns["what it is"] = [self.about.names.get(run, _kind(run)) for run in self.runs]
        loss = self.records.metric(LOSS)
        columns["seeds"] = [str(len(self.records.of(run, loss))) for run in self.runs]
        columns |= self._metric(LOSS)
        if self.spec.reference:
            columns |= self._differences(further)
        for heading, values in self.columns.items():
            columns[heading] = [spread(values.get(run, ()), DIGITS["%"]) for run in self.runs]
        for name in self.metrics:
            columns |= self._metric(name)
        columns["cost"] = [f"{self.records.cost(run):,.0f}" for run in self.runs]
        columns[f"*{self.about.published_as}*"] = [
            self.about.published.get(run, "") for run in self.runs
        ]
        shown = {heading: cells for heading, cells in columns.items() if any(cells)}
        return markdown(list(shown), list(zip(*shown.values(), strict=True)))

    def _metric(self, name: str) -> dict[str, Sequence[str]]:
        metric = self.records.metric(name)
        heading = f"{name}, {unit(metric)}" if unit(metric) else name
        values = [list(self.records.of(run, metric).values()) for run in self.runs]
        return {heading: [spread(one, digits_of(metric)) for one in values]}

    def _differences(self, further: Mapping[str, Pair]) -> dict[str, Sequence[str]]:
        """The differences of the loss to the reference.

        With p-values if all have enough seeds for an interval.
        """
        pairs = self.pairs()
        single = {run: pair for run, pair in pairs.items() if len(pair[0]) == 1}
        several = {run: pair for run, pair in pairs.items() if len(pair[0]) > 1}
        compared = compare({**several, **further}, "lower") | compare(single, "lower")
        rows = [compared.get(run) for run in self.runs]
        columns: dict[str, Sequence[str]] = {
            f"{LOSS} − `{self.spec.reference}`": [difference(row, 3) for row in rows]
        }
        if all(row.seeds >= MIN_PAIRS for row in rows if row):
            columns["p (Holm)"] = [f"{row.holm:.2g}" if row else NONE for row in rows]
        return columns

    def pairs(self) -> dict[str, Pair]:
        """The losses of each run and of the reference, by run, of the run's seeds.

        Raises:
            TableError: a run has seeds that the reference lacks, or another number of rounds.
        """
        loss = self.records.metric(LOSS)
        reference = self.spec.reference
        other = self.records.of(reference, loss)
        pairs = {}
        for run in self.runs:
            losses = self.records.of(run, loss)
            if run == reference or _kind(run):
                continue
            if losses.keys() - other.keys():
                raise TableError(f"'{run}' has seeds that '{reference}' lacks")
            if self.records.round(run) != self.records.round(reference):
                raise TableError(f"'{run}' and '{reference}' have had different numbers of rounds")
            pairs[run] = (list(losses.values()), [other[seed] for seed in losses])
        return pairs


def _kind(run: str) -> str:
    return KINDS.get(run.partition(",")[0], "")


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    Example:
        >>> print(markdown(["a", "b"], [["1", ""]]))
        | a | b |
        | --- | --- |
        | 1 | |
    """
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    for row in rows:
        cells = [f" {cell} " if cell else " " for cell in row]
        lines.append("|" + "|".join(cells) + "|")
    return "\n".join(lines)


def digits_of(metric: Outcome) -> int:
    """The digits after the point of a metric's values."""
    return DIGITS.get(unit(metric), 3)


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
