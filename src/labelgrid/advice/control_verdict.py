"""Says whether a strategy's picks pay, from trainings on them and on as many random labels.

Loads no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from labelgrid.basics.comparison import PairComparison, compare, holm_correction, is_seen
from labelgrid.basics.results import LOSS, Result, verdict_on
from labelgrid.basics.words import count_text
from labelgrid.drawings.wording import add_unit, number, rough_number, rough_range

#: What the trainings on a label set measured, seed by seed; by task, and the loss under `LOSS`.
Measured = Sequence[Mapping[str, Result]]
Answer = Literal["pay", "cost", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class MeasureRow:
    """A metric on the held-out images, with the picks and with the control.

    Args:
        name: the task, or `loss_mtl`.
        metric: its headline metric.
        unit: the unit of the metric.
        better: the direction that is better.
        picks: the values with the picks, by seed.
        control: the values with the control.
        compared: picks − control, of the tasks corrected for their number; None if a value is no
            number.
    """

    name: str
    metric: str
    unit: str
    better: Literal["higher", "lower"]
    picks: Sequence[float]
    control: Sequence[float]
    compared: PairComparison | None


def compare_measures(picks: Measured, control: Measured) -> list[MeasureRow]:
    """Compare all that was measured, seed by seed: the loss first, then the tasks.

    The p-values of the tasks are corrected for their number (Holm). The p-value of the loss, which
    decides the answer, is not corrected.

    Args:
        picks: what was measured with the picks.
        control: what was measured with the control, of the same seeds.
    """
    names: dict[str, Result] = {LOSS: Result(LOSS, math.nan, "", "lower")}
    for measured in (*picks, *control):
        names |= measured
    rows = [_row(name, result, picks, control) for name, result in names.items()]
    return _corrected(rows)


def _row(name: str, result: Result, picks: Measured, control: Measured) -> MeasureRow:
    values = [_values(name, picks), _values(name, control)]
    compared = None
    if all(map(math.isfinite, (*values[0], *values[1]))):
        compared = compare({name: (values[0], values[1])}, result.better)[name]
    return MeasureRow(
        name=name,
        metric=result.name,
        unit=result.unit,
        better=result.better,
        picks=values[0],
        control=values[1],
        compared=compared,
    )


def _values(name: str, measured: Measured) -> list[float]:
    """The values of a metric, seed by seed; NaN where the metric is missing."""
    return [seed[name].value if name in seed else math.nan for seed in measured]


def _corrected(rows: Sequence[MeasureRow]) -> list[MeasureRow]:
    tasks = [row.compared for row in rows if row.name != LOSS and row.compared]
    corrected = iter(holm_correction([compared.p for compared in tasks]))
    result = []
    for row in rows:
        if row.name != LOSS and row.compared:
            p = next(corrected)
            seen = is_seen(p, row.compared.seeds, len(tasks))
            verdict = verdict_on(row.compared.mean, row.better, seen)
            compared = replace(row.compared, holm=p, verdict=verdict)
            result.append(replace(row, compared=compared))
        else:
            result.append(row)
    return result


def answer_of(loss: MeasureRow) -> Answer:
    """Whether the picks pay, by the loss.

    Example:
        >>> loss = {LOSS: Result(LOSS, 2.0, "", "lower")}
        >>> more = {LOSS: Result(LOSS, 2.5, "", "lower")}
        >>> rows = compare_measures([loss] * 6, [more] * 6)
        >>> answer_of(rows[0])
        'pay'
    """
    if loss.compared is None or not loss.compared.is_difference:
        return "cannot tell"
    if loss.compared.verdict == "better":
        return "pay"
    return "cost"


def sentence(loss: MeasureRow) -> str:
    """The answer in words, with its numbers.

    Example:
        >>> loss = {LOSS: Result(LOSS, 2.0, "", "lower")}
        >>> more = {LOSS: Result(LOSS, 2.5, "", "lower")}
        >>> text = sentence(compare_measures([loss] * 6, [more] * 6)[0])
        >>> print(text.partition(" (")[0])
        The picks pay: loss_mtl is 2 with them and 2.5 with as many random labels, −0.5
    """
    heads = {"pay": "The picks pay", "cost": "The picks cost", "cannot tell": "Cannot tell"}
    head = heads[answer_of(loss)]
    compared = loss.compared
    if compared is None:
        return f"{head}: in some trainings {loss.name} on the held-out images is no number."
    picks = number(_mean(loss.picks))
    control = number(_mean(loss.control))
    return (
        f"{head}: {loss.name} is {picks} with them and {control} with as many random labels, "
        f"{_difference(compared)} (95 % interval {_interval(compared)}; p = {number(compared.p)}, "
        f"{count_text(compared.seeds, 'seed')})."
    )


def table_rows(rows: Sequence[MeasureRow]) -> list[list[str]]:
    """The rows as cells of a table: metric, picks, control, difference, interval, p."""
    table = []
    for row in rows:
        name = row.name if row.name == LOSS else f"{row.name} {add_unit(row.metric, row.unit)}"
        cells = [name, number(_mean(row.picks)), number(_mean(row.control))]
        if row.compared:
            cells += [_difference(row.compared), _interval(row.compared), number(row.compared.holm)]
        else:
            cells += ["–"] * 3
        table.append(cells)
    return table


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _difference(compared: PairComparison) -> str:
    return rough_number(compared.mean)


def _interval(compared: PairComparison) -> str:
    return rough_range(compared.low, compared.high)
