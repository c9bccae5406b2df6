"""Finds the newest rounds of a task without gain despite more labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.basics.results import Verdict, verdict_on
from labelgrid.drawings.wording import number
from labelgrid.operations.headlines import jackknife_interval
from labelgrid.select.label_curve import CurvePoint, LabelCurve

#: Fewer rounds say nothing.
LEAST = 3


@dataclass(frozen=True, kw_only=True)
class FlatRounds:
    """The newest rounds of a task, none better than an earlier one by more than chance.

    Args:
        count: the number of these rounds.
        fewest: the number of labels in the first of these rounds.
        most: the number of labels in the newest round.
        worse: whether one is worse than an earlier one by more than chance.
        by_intervals: whether this is known from intervals over held-out images alone; False: from
            how far rounds lie beside their curve.
    """

    count: int
    fewest: float
    most: float
    worse: bool
    by_intervals: bool

    @property
    def text(self) -> str:
        """The rounds and the finding, as a part of a sentence."""
        labels = f"{number(self.fewest)} to {number(self.most)} labels"
        return f"the last {self.count} rounds ({labels}) {self.finding}"

    @property
    def finding(self) -> str:
        """The finding about the rounds."""
        if self.worse:
            return "brought no gain"
        limit = "their intervals" if self.by_intervals else "rounds do by chance"
        return f"do not differ by more than {limit}"


def flat_rounds(
    points: Sequence[CurvePoint], without: Sequence[Sequence[float]], curve: LabelCurve
) -> FlatRounds | None:
    """The newest rounds that show no gain; None if fewer than `LEAST` do, or without new labels.

    Args:
        points: the rounds of a task, the newest last.
        without: for each round, the metric with each block of held-out images left out in turn;
            empty if unknown.
        curve: the curve through the rounds.
    """
    verdicts = []
    by_intervals = True
    count = 1
    while count < len(points):
        first = len(points) - count - 1
        changes = []
        for later in zip(points[first + 1 :], without[first + 1 :], strict=True):
            change = _change(curve, (points[first], without[first]), later)
            changes.append(change)
        if any(verdict == "better" for verdict, _ in changes):
            break
        verdicts += [verdict for verdict, _ in changes]
        by_intervals &= all(by_interval for _, by_interval in changes)
        count += 1
    fewest = points[-count].labels
    most = points[-1].labels
    if count < LEAST or most <= fewest:
        return None
    return FlatRounds(
        count=count,
        fewest=fewest,
        most=most,
        worse="worse" in verdicts,
        by_intervals=by_intervals,
    )


#: A round, and the metric without each block of held-out images.
_Round = tuple[CurvePoint, Sequence[float]]


def _change(curve: LabelCurve, before: _Round, after: _Round) -> tuple[Verdict, bool]:
    """The verdict on the change between two rounds, and whether an interval gave the verdict."""
    change = after[0].value - before[0].value
    interval = jackknife_interval(change, before[1], after[1])
    if interval is not None:
        low, high = interval
        return verdict_on(change, curve.scale.better, not low <= 0 <= high), True
    gain = curve.scale.gained(after[0].value) - curve.scale.gained(before[0].value)
    return verdict_on(change, curve.scale.better, abs(gain) > curve.by_chance), False
