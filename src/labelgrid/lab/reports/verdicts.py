"""Tabulates the verdicts on a study's arms, and says what the number of seeds can show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from labelgrid.basics.comparison import LEVEL, PairComparison, seeds_needed, smallest_p
from labelgrid.basics.results import Verdict
from labelgrid.basics.words import count_text
from labelgrid.drawings.wording import number, rough_number, rough_range
from labelgrid.lab.reports.measure import CampaignMeasure
from labelgrid.report.page_blocks import Column, DataTable, Value, number_columns

#: The verdict on the second of two strategies, by the verdict on the first.
SWAPPED: Mapping[Verdict, Verdict] = {"better": "worse", "worse": "better"}


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """An arm compared with the baseline: arm minus baseline, at a point of the grid."""

    point: str
    arm: str
    baseline: str
    compared: PairComparison


def verdict_rows(measure: CampaignMeasure, reference: str, point: str = "") -> list[VerdictRow]:
    """Every arm compared with the reference; every pair if the reference is no arm."""
    pairs = measure.pairs
    has_reference = any(reference in pair for pair in pairs)
    rows = []
    for (arm, baseline), compared in pairs.items():
        if arm == reference:
            compared = _swap(compared)
            arm, baseline = baseline, arm
        if baseline == reference or not has_reference:
            rows.append(VerdictRow(point=point, arm=arm, baseline=baseline, compared=compared))
    return rows


def _swap(compared: PairComparison) -> PairComparison:
    return replace(
        compared,
        mean=-compared.mean,
        low=-compared.high,
        high=-compared.low,
        verdict=SWAPPED.get(compared.verdict, compared.verdict),
    )


def verdict_table(rows: Sequence[VerdictRow]) -> DataTable:
    """A row for each arm and baseline: difference, interval, p and verdict."""
    has_points = any(row.point for row in rows)
    columns = [
        Column("arm"),
        Column("baseline"),
        *([Column("point")] if has_points else []),
        *number_columns("difference", span_name(row.compared for row in rows)),
        *number_columns("p corrected", "seeds"),
        Column("verdict"),
    ]
    cells = []
    for row in rows:
        compared = row.compared
        names: list[Value] = [row.arm, row.baseline]
        if has_points:
            names.append(row.point)
        cells.append(
            [
                *names,
                rough_number(compared.mean),
                rough_range(compared.low, compared.high),
                compared.holm,
                compared.seeds,
                compared.words,
            ]
        )
    return DataTable(columns, cells)


def span_name(comparisons: Iterable[PairComparison]) -> str:
    """The heading of the ranges of differences, which are intervals with enough seeds."""
    if all(compared.has_interval for compared in comparisons):
        return "95 % interval"
    return "smallest to largest"


def power_statement(pairs: Mapping[tuple[str, str], PairComparison]) -> str:
    """Say which differences the number of seeds can show."""
    if not pairs:
        return (
            "No two strategies have a finished run with the same seed. "
            "There is nothing to compare yet."
        )
    tested = [compared.seeds for compared in pairs.values() if compared.is_tested]
    if not tested:
        return "No two strategies have a fair test: the verdicts say why."
    seeds = max(tested)
    count = len(tested)
    if seeds < 2:
        return "One seed cannot show a difference: the random variation between runs is unknown."
    least = smallest_p(seeds)
    limit = f"With {count_text(seeds, 'seed')}, p cannot be below {number(least)}"
    if count > 1:
        corrected = number(min(1.0, least * count))
        limit += f", or below {corrected} after correction for {count_text(count, 'pair')}"
    if least * count <= LEVEL:
        return f"{limit}. A difference that is not seen may still exist."
    needed = count_text(seeds_needed(count), "seed")
    return (
        f"{limit}: no difference can be seen, however large. "
        f"A level of {100 * LEVEL:g} % takes at least {needed}."
    )
