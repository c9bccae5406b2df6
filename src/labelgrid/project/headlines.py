"""Computes the headline metrics of the newest round, and whether their change is more than noise.

Loads no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labelgrid.drawings.wording import rough_number
from labelgrid.project.records import Measurement
from labelgrid.results import Result
from labelgrid.words import count_text

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
    def verdict(self) -> str:
        """Whether the change is "better", "worse" or "within noise"; "" without an interval."""
        if self.change_interval is None:
            return ""
        low, high = self.change_interval
        if low <= 0 <= high:
            return "within noise"
        return "better" if (low > 0) == (self.result.better == "higher") else "worse"

    def __str__(self) -> str:
        unit = f" {self.result.unit}" if self.result.unit else ""
        images = count_text(self.images, "held-out image")
        name = f"{self.task} {self.result.name}"
        value = f"{self.result.value:.3g}{unit}"
        if self.before is None:
            return f"{name} {value} ({images})"
        if self.change_interval is None:
            reason = "too few to tell a change from noise"
            return f"{name} {self.before:.3g} → {value} ({images}, {reason})"
        low, high = self.change_interval
        change = f"change {rough_number(low)} to {rough_number(high)}"
        return f"{name} {self.before:.3g} → {value} ({images}, {change}: {self.verdict})"

    def as_json(self) -> dict[str, Any]:
        """The metric as JSON values, with the sentence that is printed."""
        return {**asdict(self), "verdict": self.verdict, "text": str(self)}


def headlines_of(measured: Sequence[Measurement], metrics: Mapping[str, str]) -> list[Headline]:
    """The headline metrics of the newest measured round.

    Tasks without held-out labels are left out.

    Args:
        measured: the measured rounds, ordered by number.
        metrics: the headline metric of each task.
    """
    if not measured:
        return []
    last = measured[-1]
    previous = comparable_round(measured)
    headlines = []
    for task, metric in metrics.items():
        result = last.metrics.get(task, {}).get(metric)
        if result is None or not math.isfinite(result.value):
            continue
        before = None
        interval = None
        old = previous.metrics.get(task, {}).get(metric) if previous else None
        if previous and old and math.isfinite(old.value):
            before = old.value
            without_before = previous.without.get(task, {}).get(metric, ())
            without_after = last.without.get(task, {}).get(metric, ())
            interval = jackknife_interval(result.value - before, without_before, without_after)
        headline = Headline(
            task=task,
            result=result,
            before=before,
            change_interval=interval,
            images=last.heldout_labels.get(task, 0),
        )
        headlines.append(headline)
    return headlines


def comparable_round(measured: Sequence[Measurement]) -> Measurement | None:
    """The round before the newest; None without one, or if it was measured on other labels."""
    if len(measured) < 2:
        return None
    previous, last = measured[-2:]
    return previous if previous.is_comparable(last) else None


def jackknife_interval(
    change: float, before: Sequence[float], after: Sequence[float]
) -> tuple[float, float] | None:
    """A 95 % interval of a metric's change, over the images that it was measured on.

    Source: Tukey's jackknife with blocks of images. For a mean it is the paired t interval.

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
