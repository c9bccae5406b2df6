"""Says which task's labels to buy next, what they may gain, and which task has flattened."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.drawings.wording import number, rough_number
from labelgrid.errors import command
from labelgrid.project.prices import few_times
from labelgrid.rounds.advised import Advice, Topic
from labelgrid.rounds.flat_rounds import FlatRounds
from labelgrid.rounds.task_curves import TaskCurve
from labelgrid.select.label_curve import FEWEST, Forecast, LabelCurve
from labelgrid.select.strategy import Brings
from labelgrid.words import count_text, duration, join_names

#: A task has flattened if a doubling of its labels may move its metric by this share at most.
FLAT = 0.02
#: What is said of curves through rounds that show no gain.
EXPECT = "the gain that the curve foresees is known from past campaigns alone"
#: Fewer labels are none: what follows from others counts in parts.
_NOTHING = 0.5


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The labels of a task that can be bought.

    Args:
        missing: the number of training images without one, and of which none follows from others.
        price: of one label.
        seconds: that one takes; None: unknown.
        timed: the number of labels whose times say so.
    """

    missing: int
    price: float
    seconds: float | None = None
    timed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Purchase:
    """Further labels of a task, and what they do.

    Args:
        curve: of the task.
        count: the labels.
        becomes: the metric with them.
        rate: the relative gain of all tasks that have more labels by it, for the price.
        error: of the rate, half of its 80 % interval.
        offer: of the task.
        limit: why the budget buys no more, in words; "" if it is spent.
    """

    curve: TaskCurve
    count: int
    becomes: Forecast
    rate: float
    error: float
    offer: Offer
    limit: str


@dataclass(frozen=True)
class _Upcoming:
    """A task's labels after the next round, and how many of those it would buy are not there."""

    labels: float
    lacking: float


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
    says little of what lies beyond a doubling. Of a task whose newest rounds show no gain, none is
    offered.

    Args:
        curves: of the tasks.
        offers: by task.
        brings: as of `PoolView`: what a label brings along gains, too.
        budget: what may be spent.
        folder: of the project, for commands.
    """
    fitted = [curve for curve in curves if curve.curve]
    if not fitted:
        return [_too_early(curves)]
    known = {curve.task: curve for curve in _rising(curves)}
    if not known:
        return [_no_gain(fitted)]
    purchases = []
    for task, curve in known.items():
        count = _affordable(curve, offers[task], budget)
        if count:
            brought = brings.get(task, {}).items()
            others = [(_fitted(known[name]), share) for name, share in brought if name in known]
            found = _purchase(curve, count, offers[task], others=others, budget=budget)
            purchases.append(found)
    if not purchases:
        return [_nothing({task: offers[task] for task in known}, budget)]
    purchases.sort(key=lambda purchase: -purchase.rate)
    rows = []
    for place, purchase in enumerate(purchases):
        advice = _buy(purchase, folder)
        if place == 0:
            text = f"{advice.text[:-1]}; {_comparison(purchases)} `{advice.command}` asks for them."
            advice = replace(advice, text=text)
        rows.append(advice)
    return rows


def next_round_advice(
    curves: Sequence[TaskCurve], most: Mapping[str, int] | None = None
) -> list[Advice]:
    """What the next round should measure, if it buys as the last one did.

    Of a task whose newest rounds show no gain, nothing is foreseen.

    Args:
        curves: of the tasks.
        most: the labels that each task can have; it buys no more. None: any number.
    """
    fitted = [each for each in curves if each.curve]
    upcoming = {each.task: _upcoming(each, most or {}) for each in fitted}
    lacking = sum(each.lacking for each in upcoming.values())
    rows = []
    for task_curve in _rising(fitted):
        curve = _fitted(task_curve)
        before, newest = task_curve.points[-2:]
        everything = 2 * newest.all - before.all - lacking
        if everything <= newest.all + _NOTHING:
            continue
        own = upcoming[task_curve.task]
        found = curve.forecast(own.labels, everything)
        left = ", as far as labels are left" if own.lacking else ""
        text = (
            f"{task_curve.task}: if the next round buys as the last one did{left}, "
            f"{task_curve.metric} should be {_value(found.value, task_curve)} "
            f"({_interval(found)}), from {_now(curve)}."
        )
        rows.append(_foreseen("next round", text, task_curve, found))
    return rows


def _upcoming(curve: TaskCurve, most: Mapping[str, int]) -> _Upcoming:
    """A task's labels after a round that buys as many as the last one did, if there are any."""
    before, newest = curve.points[-2:]
    wanted = max(2 * newest.own - before.own, newest.own)
    labels = max(min(wanted, most.get(curve.task, math.inf)), newest.own)
    return _Upcoming(labels, wanted - labels)


def flat_advice(curves: Sequence[TaskCurve]) -> list[Advice]:
    """The tasks whose further labels hardly help, by their newest rounds or by their curves."""
    rows = [_still(curve, curve.flat) for curve in curves if curve.flat]
    for task_curve in _rising(curves):
        curve = _fitted(task_curve)
        newest = curve.newest
        doubled = curve.change(2 * newest.own, newest.all + newest.own)
        best = doubled.high if curve.scale.better == "higher" else doubled.low
        if _relative(best, curve) > FLAT:
            continue
        text = (
            f"{task_curve.task} has flattened: twice its {count_text(round(newest.own), 'label')} "
            f"would take {task_curve.metric} from {_now(curve)} to "
            f"{_value(best, task_curve)} at best (80 % interval)."
        )
        rows.append(_foreseen("flat", text, task_curve, doubled))
    return rows


def _rising(curves: Sequence[TaskCurve]) -> list[TaskCurve]:
    """The tasks of which a curve can be foreseen: they have one, and their newest rounds gained."""
    return [curve for curve in curves if curve.curve and not curve.flat]


def _still(curve: TaskCurve, flat: FlatRounds) -> Advice:
    """That the newest rounds of a task show no gain."""
    return Advice(
        topic="flat",
        text=f"{curve.task}: {flat.text}: {EXPECT}.",
        task=curve.task,
        metric=curve.metric,
        unit=curve.unit,
        measured=curve.points[-1].value,
        rounds=flat.count,
    )


def _affordable(curve: TaskCurve, offer: Offer, budget: float) -> int:
    """The labels that the budget pays for, of those there are, up to a doubling."""
    most = min(offer.missing, math.ceil(curve.points[-1].own))
    if offer.price <= 0:
        return most
    return min(most, int(budget / offer.price + 1e-9))


def _limit(curve: TaskCurve, offer: Offer, count: int, budget: float) -> str:
    """Why no more labels are offered though the budget would pay for them."""
    if (count + 1) * offer.price > budget + 1e-9:
        return ""
    return "all that are left" if count == offer.missing else "twice as many as now at most"


def _purchase(
    curve: TaskCurve,
    count: int,
    offer: Offer,
    *,
    others: Sequence[tuple[LabelCurve, float]],
    budget: float,
) -> _Purchase:
    """A purchase of labels; `others` are the curves that gain too, with their share of a label."""
    fitted = _fitted(curve)
    becomes = _with_labels(fitted, count)
    price = max(count * offer.price, 1e-9)
    gain = _relative(becomes.value, fitted)
    squares = _reach(becomes, fitted) ** 2
    for other, share in others:
        brought = _with_labels(other, share * count)
        gain += _relative(brought.value, other)
        squares += _reach(brought, other) ** 2
    return _Purchase(
        curve=curve,
        count=count,
        limit=_limit(curve, offer, count, budget),
        becomes=becomes,
        rate=gain / price,
        error=math.sqrt(squares) / price,
        offer=offer,
    )


def _fitted(curve: TaskCurve) -> LabelCurve:
    assert curve.curve is not None  # only such curves are asked for
    return curve.curve


def _with_labels(curve: LabelCurve, further: float) -> Forecast:
    """The metric with further labels of the task alone: those of all tasks are left as they are.

    What labels of all tasks do is mostly longer training, which one task's labels do not buy.
    """
    return curve.change(curve.newest.own + further, curve.newest.all)


def _relative(value: float, curve: LabelCurve) -> float:
    """The gain over the curve as it is now, as a share of it; positive is better."""
    now = curve.now
    gain = (value - now) / max(abs(now), 1e-9)
    return gain if curve.scale.better == "higher" else -gain


def _reach(forecast: Forecast, curve: LabelCurve) -> float:
    """Half of a forecast's interval as a share of the metric."""
    return (forecast.high - forecast.low) / 2 / max(abs(curve.now), 1e-9)


def _cannot_tell(purchases: Sequence[_Purchase]) -> list[str]:
    """The tasks whose labels may be as good a purchase as the best one."""
    best, *others = purchases
    return [
        other.curve.task
        for other in others
        if best.rate - other.rate < math.hypot(best.error, other.error)
    ]


def _comparison(purchases: Sequence[_Purchase]) -> str:
    """How the best purchase compares with the others."""
    equal = _cannot_tell(purchases)
    if not equal:
        return "the most for its price."
    names = join_names(equal)
    return (
        f"the most for its price, but undecided: {names} may gain as much. Another round would "
        "tell more, best one that buys a single task."
    )


def _buy(purchase: _Purchase, folder: Path) -> Advice:
    curve = purchase.curve
    fitted = _fitted(curve)
    found = purchase.becomes
    price = purchase.count * purchase.offer.price
    seconds = None
    paid = f"price {number(price)}"
    if purchase.limit:
        paid += f", {purchase.limit}"
    if purchase.offer.seconds is not None:
        seconds = purchase.count * purchase.offer.seconds
        paid += f", about {duration(seconds)} {few_times(purchase.offer.timed)}".rstrip()
    labels = count_text(purchase.count, "more label")
    change = rough_number(found.value - fitted.now)
    unit = "points" if curve.unit == "%" else curve.unit
    unit = f" {unit}" if unit else ""
    text = (
        f"{labels} of {curve.task} ({paid}): {curve.metric} {change}{unit}, from {_now(fitted)} to "
        f"{number(found.value)} ({_interval(found)})."
    )
    options = ["--task", curve.task, "--budget", purchase.count]
    line = command("query", folder, *options)
    advice = _foreseen("buy", text, curve, found)
    return replace(advice, count=purchase.count, price=price, seconds=seconds, command=line)


def _foreseen(topic: Topic, text: str, curve: TaskCurve, found: Forecast) -> Advice:
    """Advice with the numbers of what is foreseen."""
    return Advice(
        topic=topic,
        text=text,
        task=curve.task,
        metric=curve.metric,
        unit=curve.unit,
        now=_fitted(curve).now,
        measured=curve.points[-1].value,
        value=found.value,
        low=found.low,
        high=found.high,
    )


def _value(value: float, curve: TaskCurve) -> str:
    return f"{number(value)} {curve.unit}".rstrip()


def _now(curve: LabelCurve) -> str:
    """The metric that the curve has now, beside what the newest round measured."""
    now = number(curve.now)
    measured = number(curve.newest.value)
    return now if now == measured else f"{now} on its curve (newest round: {measured})"


def _interval(found: Forecast) -> str:
    return f"80 % interval {number(found.low)} to {number(found.high)}"


def _nothing(offers: Mapping[str, Offer], budget: float) -> Advice:
    """Why no label of these tasks can be bought."""
    left = {task: offer.price for task, offer in offers.items() if offer.missing}
    text = f"Every label of {join_names(list(offers))} is bought, or follows from others."
    if left:
        task = min(left, key=lambda task: left[task])
        price = number(left[task])
        text = f"For {number(budget)} no label can be bought: one of {task} costs {price}."
    return Advice(topic="buy", answered=False, text=text)


def _no_gain(curves: Sequence[TaskCurve]) -> Advice:
    """Why no purchase is advised: the newest rounds of no task show a gain."""
    tasks: dict[tuple[int, str], list[str]] = {}
    for curve in curves:
        if curve.flat:
            tasks.setdefault((curve.flat.count, curve.flat.finding), []).append(curve.task)
    parts = [
        f"the last {count} rounds of {join_names(names)} {finding}"
        for (count, finding), names in tasks.items()
    ]
    text = (
        f"No purchase is advised: {', and '.join(parts)}; {EXPECT}. Try a longer training or "
        "another recipe first; more held-out images show smaller gains."
    )
    return Advice(topic="buy", text=text, rounds=min(count for count, _ in tasks))


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
