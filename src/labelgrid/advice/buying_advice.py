"""Advises on the labels to buy next, with their gain. Loads no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labelgrid.advice.advised import Advice
from labelgrid.advice.forecast_text import (
    EXPECT,
    cannot_tell,
    fitted_curve,
    foreseen_advice,
    interval_text,
    missed_curves,
    relative_gain,
    rising_curves,
)
from labelgrid.advice.task_curves import TaskCurve
from labelgrid.basics.errors import command
from labelgrid.basics.words import count_text, duration, join_names
from labelgrid.drawings.wording import number, rough_number
from labelgrid.project.derived_labels import grid_to_buy
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import few_times, times_of
from labelgrid.project.records import newest_fit
from labelgrid.project.suppliers import given_shares
from labelgrid.select.following import brings_of, known_labels
from labelgrid.select.label_curve import FEWEST, Forecast
from labelgrid.select.strategy import Brings
from labelgrid.tasks.overview import percent

#: Free labels count as if they had this price.
FREE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The labels of a task that can be bought.

    Args:
        missing: the number of training images without a label, and without one that follows from
            others.
        price: the price of one label.
        seconds: the time of one label; None: unknown.
        timed: the number of labels whose times say so.
        left: what trusted suppliers leave to gain by one, as a share of a label.
    """

    missing: int
    price: float
    seconds: float | None = None
    timed: int = 0
    left: float = 1.0


@dataclass(frozen=True, kw_only=True)
class _Purchase:
    """Further labels of a task, and their gain.

    Args:
        curve: the curve of the task.
        count: the labels.
        becomes: what the next round may measure with them.
        gains: the relative gain of each task that gets more labels, the bought task first.
        error: the error of their sum, half of its 80 % interval.
        offer: the offer of the task.
        limit: why the budget buys no more, in words; "" if it is spent.
    """

    curve: TaskCurve
    count: int
    becomes: Forecast
    gains: Mapping[str, float]
    error: float
    offer: Offer
    limit: str

    @property
    def price(self) -> float:
        """The price of all the labels."""
        return self.count * self.offer.price

    @property
    def gain(self) -> float:
        """The relative gain of all tasks together; positive is better."""
        return sum(self.gains.values())

    @property
    def rate(self) -> float:
        """The gain for the price, by which purchases are compared."""
        return self.gain / max(self.price, FREE)

    @property
    def rate_error(self) -> float:
        """Half of the 80 % interval of the rate."""
        return self.error / max(self.price, FREE)


def purchases(project: ProjectFolder, curves: Sequence[TaskCurve], budget: float) -> list[Advice]:
    """Advice on the next labels of a project, as `buying_advice` gives."""
    times = times_of(project)
    missing, left = _missing(project)
    offers = {}
    for row in project.store.tasks():
        timed = times.get(row.name)
        learned = timed and project.settings.costs == "times"
        offers[row.name] = Offer(
            missing=missing[row.name],
            price=timed.cost if timed and learned else row.cost,
            seconds=timed.mean if timed else None,
            timed=timed.labels if timed else 0,
            left=left[row.name],
        )
    brings = brings_of(project.relations())
    return buying_advice(curves, offers, brings, budget, folder=project.folder)


def most_labels(project: ProjectFolder) -> Mapping[str, int]:
    """The number of labels of each task that a training can learn from once all are bought."""
    counts = project.store.counts(("train",))
    totals = {}
    for row in project.store.tasks():
        totals[row.name] = (
            counts[row.name].missing + counts[row.name].requested + counts[row.name].labelled
        )
    return totals


def last_cost(project: ProjectFolder) -> float:
    """The cost of the labels between the last two trainings, or before the only training."""
    last = newest_fit(project.folder)
    if last is None:
        return project.store.spent(("train",))
    before = newest_fit(project.folder, last.round) if last.round else None
    return max(last.spent - (before.spent if before else 0.0), 0.0) or last.spent


def _missing(project: ProjectFolder) -> tuple[Mapping[str, int], Mapping[str, float]]:
    """The labels to buy by task, and the mean share of a label's gain that suppliers leave."""
    # Labels that follow, or mostly will once others are bought, need not be bought.
    relations = project.relations()
    everything = dict.fromkeys((row.name for row in project.store.tasks()), 1.0)
    if not relations and not project.suppliers():
        cells = project.store.counts(("train",))
        return {task: count.missing for task, count in cells.items()}, everything
    grid = grid_to_buy(project)
    missing = grid.eligible & ~known_labels(grid, relations)
    counts = dict(zip(grid.tasks, missing.sum(0).tolist(), strict=True))
    given = given_shares(project, grid)
    if given is None:
        return counts, everything
    left = 1 - np.where(missing, given, 0.0).sum(0) / np.maximum(missing.sum(0), 1)
    return counts, dict(zip(grid.tasks, left.tolist(), strict=True))


def buying_advice(
    curves: Sequence[TaskCurve],
    offers: Mapping[str, Offer],
    brings: Brings,
    budget: float,
    *,
    folder: Path,
) -> list[Advice]:
    """Advice on the next labels, the best purchase first.

    A purchase is of one task's labels, for the budget; never more than the task has, since a curve
    says little of what lies beyond a doubling. No purchase is offered for a task whose newest
    rounds show no gain, whose curve misses the newest round, or whose forecast shows no gain.

    Purchases are ordered by relative gain per price, including the gain of labels that they bring
    along. No offered purchase is both cheaper than the first and better.

    Args:
        curves: the curves of the tasks.
        offers: the offers by task.
        brings: as in `PoolView`: the further labels that a label brings along also count.
        budget: what may be spent.
        folder: the folder of the project, for commands.
    """
    fitted = [curve for curve in curves if curve.curve]
    if not fitted:
        return [_too_early(curves)]
    missed = [cannot_tell(curve) for curve in missed_curves(curves)]
    rising = {curve.task: curve for curve in rising_curves(curves)}
    if not rising:
        return [*_no_gain(fitted), *missed]
    offered = []
    for task, curve in rising.items():
        count = _affordable(curve, offers[task], budget)
        if count:
            brought = brings.get(task, {}).items()
            others = {
                name: (rising[name], fraction) for name, fraction in brought if name in rising
            }
            offered.append(_purchase(curve, count, offers[task], others=others, budget=budget))
    if not offered:
        return [_nothing({task: offers[task] for task in rising}, budget), *missed]
    purchases = sorted(offered, key=lambda purchase: -purchase.rate)
    purchases = [purchase for purchase in purchases if purchase.gain > 0]
    if not purchases:
        return [_no_purchase_gains(offered), *missed]
    rows = [_buy(purchase, folder) for purchase in purchases]
    best = rows[0]
    text = f"{best.text[:-1]}{_comparison(purchases)}. `{best.command}` asks for them."
    return [replace(best, text=text), *rows[1:], *missed]


def _affordable(curve: TaskCurve, offer: Offer, budget: float) -> int:
    """The number of labels that the budget pays for, up to a doubling."""
    most = min(offer.missing, math.ceil(curve.points[-1].labels))
    if offer.price <= 0:
        return most
    return min(most, int(budget / offer.price + 1e-9))


def _purchase(
    curve: TaskCurve,
    count: int,
    offer: Offer,
    *,
    others: Mapping[str, tuple[TaskCurve, float]],
    budget: float,
) -> _Purchase:
    gains = {}
    squares = 0.0
    for task, (gaining, fraction) in {curve.task: (curve, offer.left), **others}.items():
        fitted = fitted_curve(gaining)
        newest = fitted.newest
        becomes = fitted.change(newest.labels + fraction * count, newest.all)
        gains[task] = relative_gain(becomes.value, fitted)
        squares += ((becomes.high - becomes.low) / 2 / max(abs(fitted.now), 1e-9)) ** 2
    limit = ""
    if (count + 1) * offer.price <= budget + 1e-9:
        limit = "all that are left" if count == offer.missing else "twice as many as now at most"
    fitted = fitted_curve(curve)
    newest = fitted.newest
    return _Purchase(
        curve=curve,
        count=count,
        limit=limit,
        # Further labels of all tasks would mostly mean a longer training, which is not bought.
        becomes=fitted.forecast(newest.labels + offer.left * count, newest.all),
        gains=gains,
        error=math.sqrt(squares),
        offer=offer,
    )


def _comparison(purchases: Sequence[_Purchase]) -> str:
    """The rate of the best purchase, and the tasks that may gain as much."""
    best, *others = purchases
    if not others:
        return ""
    rate = "it is free"
    if best.price > 0:
        rate = f"{100 * best.rate:.2g} % for each 1 of the price"
    text = f"; the most for its price by the relative gain ({rate})"
    equal = [
        other.curve.task
        for other in others
        if best.rate - other.rate < math.hypot(best.rate_error, other.rate_error)
    ]
    if not equal:
        return text
    return (
        f"{text}, but undecided: {join_names(equal)} may gain as much. Another round would tell "
        "more, best one that buys a single task"
    )


def _gain_text(purchase: _Purchase) -> str:
    gain, *_ = purchase.gains.values()
    text = f"{100 * abs(gain):.2g} % {'worse' if gain < 0 else 'better'}"
    if len(purchase.gains) > 1:
        names = join_names(list(purchase.gains)[1:])
        better = " better" if gain < 0 else ""
        text += f", {100 * purchase.gain:.2g} %{better} with what follows for {names}"
    return text


def _buy(purchase: _Purchase, folder: Path) -> Advice:
    curve = purchase.curve
    fitted = fitted_curve(curve)
    forecast = purchase.becomes
    price = purchase.price
    seconds = None
    paid = f"price {number(price)}"
    if purchase.limit:
        paid += f", {purchase.limit}"
    if purchase.offer.seconds is not None:
        seconds = purchase.count * purchase.offer.seconds
        paid += f", about {duration(seconds)} {few_times(purchase.offer.timed)}".rstrip()
    if purchase.offer.left < 1:
        paid += f", suppliers leave {percent(purchase.offer.left)} of it to gain"
    labels = count_text(purchase.count, "more label")
    change = rough_number(forecast.value - fitted.now)
    unit = "points" if curve.unit == "%" else curve.unit
    unit = f" {unit}" if unit else ""
    text = (
        f"{labels} of {curve.task} ({paid}): {curve.metric} {change}{unit} "
        f"({_gain_text(purchase)}), from {number(fitted.now)} to {number(forecast.value)} "
        f"({interval_text(forecast)})."
    )
    options = ["--task", curve.task, "--budget", purchase.count]
    line = command("query", folder, *options)
    advice = foreseen_advice("buy", text, curve, forecast)
    return replace(
        advice,
        count=purchase.count,
        price=price,
        seconds=seconds,
        left=purchase.offer.left,
        gain=100 * purchase.gain,
        command=line,
    )


def _nothing(offers: Mapping[str, Offer], budget: float) -> Advice:
    left = {task: offer.price for task, offer in offers.items() if offer.missing}
    text = f"Every label of {join_names(list(offers))} is bought, or follows from others."
    if left:
        task = min(left, key=lambda task: left[task])
        price = number(left[task])
        text = f"For {number(budget)} no label can be bought: one of {task} costs {price}."
    return Advice(topic="buy", answered=False, text=text)


def _no_purchase_gains(purchases: Sequence[_Purchase]) -> Advice:
    names = join_names([purchase.curve.task for purchase in purchases])
    text = (
        f"No purchase is advised: no gain by further labels of {names} alone is foreseen. A longer "
        "training, or labels of all tasks, may bring one."
    )
    return Advice(topic="buy", text=text)


def _no_gain(curves: Sequence[TaskCurve]) -> list[Advice]:
    """Advice against purchases if the newest rounds of tasks show no gain; else none."""
    tasks: dict[tuple[int, str], list[str]] = {}
    for curve in curves:
        if curve.flat:
            tasks.setdefault((curve.flat.count, curve.flat.finding), []).append(curve.task)
    if not tasks:
        return []
    parts = []
    for (count, finding), names in tasks.items():
        parts.append(f"the last {count} rounds of {join_names(names)} {finding}")
    text = (
        f"No purchase is advised: {', and '.join(parts)}; {EXPECT}. Try a longer training or "
        "another recipe first; more held-out images show smaller gains."
    )
    return [Advice(topic="buy", text=text, rounds=min(count for count, _ in tasks))]


def _too_early(curves: Sequence[TaskCurve]) -> Advice:
    rounds = max((len(curve.points) for curve in curves), default=0)
    return Advice(
        topic="buy",
        answered=False,
        text=(
            f"Which labels gain most: too early to say. {count_text(rounds, 'round')} measured on "
            f"the same labels; {FEWEST} would tell, with other numbers of labels each."
        ),
    )
