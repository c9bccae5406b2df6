"""Computes the headline metrics of the newest round, and whether their change is more than noise.

Loads no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from labelgrid.basics.results import Result, Verdict, verdict_on
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text
from labelgrid.drawings.wording import rough_number
from labelgrid.project.records import Measurement

#: With fewer blocks of held-out images no interval is given.
MIN_BLOCKS = 5


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A task's headline metric, and its change since the measured round before.

    Args:
        task: its name.
        result: the newest metric.
        before: the metric of the round before; None without a comparable one.
        change_interval: 95 % interval of the change over the held-out images; None with too few of
            them.
        images: the number of held-out labels.
    """

    task: str
    result: Result
    before: float | None
    change_interval: tuple[float, float] | None
    images: int

    @property
    def change(self) -> float | None:
        """The change since the measured round before; None without a comparable one."""
        return None if self.before is None else self.result.value - self.before

    @property
    def verdict(self) -> Verdict | Literal[""]:
        """The verdict on the change; "" without a comparable round before."""
        if self.change is None:
            return ""
        seen = None
        if self.change_interval:
            low, high = self.change_interval
            seen = not low <= 0 <= high
        return verdict_on(self.change, self.result.better, seen)

    @property
    def brief(self) -> str:
        """The task with its metric and value."""
        return f"{self.task} {self.result.name} {self._value}"

    @property
    def _value(self) -> str:
        unit = f" {self.result.unit}" if self.result.unit else ""
        return f"{self.result.value:.3g}{unit}"

    def __str__(self) -> str:
        images = count_text(self.images, "held-out image")
        name = f"{self.task} {self.result.name}"
        value = self._value
        if self.before is None:
            return f"{name} {value} ({images})"
        if self.change_interval is None:
            return f"{name} {self.before:.3g} → {value} ({images}, too few: {self.verdict})"
        low, high = self.change_interval
        change = f"change {rough_number(low)} to {rough_number(high)}"
        return f"{name} {self.before:.3g} → {value} ({images}, {change}: {self.verdict})"

    def as_json(self) -> Json:
        """The metric as JSON values, with the sentence that is printed."""
        return {**asdict(self), "verdict": self.verdict, "text": str(self)}


def brief_text(headlines: Sequence[Headline]) -> str:
    """The metrics, those whose changes show the same together.

    Example:
        >>> result = Result("RMSE", 0.5, "m", "lower")
        >>> depth = Headline(
        ...     task="depth", result=result, before=0.8, change_interval=(-0.4, -0.2), images=9
        ... )
        >>> brief_text([depth])
        'better: depth RMSE 0.5 m'
    """
    by_verdict: dict[str, list[str]] = {}
    for headline in headlines:
        by_verdict.setdefault(headline.verdict, []).append(headline.brief)
    parts = []
    for verdict, metrics in by_verdict.items():
        start = f"{verdict}: " if verdict else ""
        parts.append(f"{start}{', '.join(metrics)}")
    return "; ".join(parts)


def headlines_of(measured: Sequence[Measurement], metrics: Mapping[str, str]) -> list[Headline]:
    """The headline metrics of the newest measured round.

    Tasks without held-out labels are left out.

    `measured` is ordered by number; `metrics` has the headline metric of each task.
    """
    if not measured:
        return []
    newest = measured[-1].metrics
    headlines = []
    for task, metric in metrics.items():
        result = newest.get(task, {}).get(metric)
        if result and math.isfinite(result.value):
            headlines.append(with_change(measured, task, result))
    return headlines


def with_change(measured: Sequence[Measurement], task: str, result: Result) -> Headline:
    """A metric of the newest measured round, with its change since the round before.

    `measured` is ordered by number.
    """
    last = measured[-1]
    previous = comparable_round(measured)
    old = previous.metrics.get(task, {}).get(result.name) if previous else None
    before = None
    interval = None
    if previous and old and math.isfinite(result.value - old.value):
        before = old.value
        without_before = previous.without.get(task, {}).get(result.name, ())
        without_after = last.without.get(task, {}).get(result.name, ())
        interval = jackknife_interval(result.value - before, without_before, without_after)
    return Headline(
        task=task,
        result=result,
        before=before,
        change_interval=interval,
        images=last.heldout_labels.get(task, 0),
    )


def comparable_round(measured: Sequence[Measurement]) -> Measurement | None:
    """The round before the newest; None without one, or if its labels differ."""
    if len(measured) < 2:
        return None
    previous, last = measured[-2:]
    return previous if previous.is_comparable(last) else None


def jackknife_interval(
    change: float, before: Sequence[float], after: Sequence[float]
) -> tuple[float, float] | None:
    """A 95 % interval of a metric's change, from leaving out blocks of images.

    Source: Tukey's jackknife. For a mean it is the paired t interval.

    Args:
        change: the metric after minus the metric before.
        before: the metrics before, with each block of images left out in turn.
        after: the metrics after, with the same blocks left out.

    Returns:
        The edges; None with fewer than `MIN_BLOCKS` blocks, or if a metric is not finite.

    Example:
        >>> low, high = jackknife_interval(0.0, [1.0] * 5, [1.1, 0.9, 1.0, 1.1, 0.9])
        >>> round(low, 3), round(high, 3)
        (-0.497, 0.497)
    """
    n = len(before)
    if n < MIN_BLOCKS or n != len(after):
        return None
    import numpy as np  # slow to load

    changes = np.subtract(after, before)
    if not np.isfinite(changes).all():
        return None
    from scipy.special import stdtrit  # slow to load, and most projects have no interval

    error = math.sqrt((n - 1) / n * float(((changes - changes.mean()) ** 2).sum()))
    reach = float(stdtrit(n - 1, 0.975)) * error
    return change - reach, change + reach
