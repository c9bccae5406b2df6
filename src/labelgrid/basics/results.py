"""Defines measured numbers with unit and direction, and the multi-task summary `delta_mtl`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]
#: What a change of a metric, or a difference of two strategies, shows.
Verdict = Literal["better", "worse", "within noise", "cannot tell"]
#: The name of the weighted sum of all tasks' losses.
LOSS = "loss_mtl"


@dataclass(frozen=True)
class Result:
    """A measured number; `better` says which direction is an improvement.

    Example:
        >>> base = Result("mErr", 26.75, "degree", "lower")
        >>> Result("mErr", 21.4, "degree", "lower").gain_over(base)
        0.2
    """

    name: str
    value: float
    unit: str
    better: Better

    def gain_over(self, base: "Result") -> float:
        """Signed relative gain over `base`, as a fraction; positive is better."""
        gain = (self.value - base.value) / base.value
        if self.better == "lower":
            gain = -gain
        return round(gain, 12)


#: Measured numbers by name.
Results = dict[str, Result]


@dataclass(frozen=True)
class ClassScore:
    """How well a class was predicted.

    Args:
        iou: the IoU over the set, in percent; NaN if it is neither in the labels nor in the
            predictions.
        pixels: the number of the labels' pixels of the class.
    """

    iou: float
    pixels: int


def verdict_on(difference: float, better: Better, seen: bool | None) -> Verdict:
    """The verdict on a change or a difference.

    Args:
        difference: the new value minus the old one, or the first minus the second.
        better: whether higher or lower values are better.
        seen: whether it is more than noise, by an interval or a test; None if there is too little
            to tell.

    Example:
        >>> verdict_on(-0.1, "lower", True), verdict_on(-0.1, "lower", False)
        ('better', 'within noise')
        >>> verdict_on(-0.1, "lower", None)
        'cannot tell'
    """
    if seen is None or not math.isfinite(difference):
        return "cannot tell"
    if not seen:
        return "within noise"
    if (difference > 0) == (better == "higher"):
        return "better"
    return "worse"


def delta_mtl(results: Mapping[str, Result], single: Mapping[str, Result]) -> float:
    """Mean signed relative gain over the tasks' single-task networks, as a fraction.

    Each task counts by its headline metric.

    Source: Vandenhende et al. 2021 (the survey), multi-task performance; MTPSL and TCD report it ×
    100.

    Example:
        >>> both = {
        ...     "depth": Result("RMSE", 0.9, "m", "lower"),
        ...     "semseg": Result("mIoU", 0.33, "", "higher"),
        ... }
        >>> single = {
        ...     "depth": Result("RMSE", 1.0, "m", "lower"),
        ...     "semseg": Result("mIoU", 0.30, "", "higher"),
        ... }
        >>> round(delta_mtl(both, single), 6)
        0.1
    """
    missing = results.keys() - single.keys()
    if missing or not results:
        raise ValueError(
            f"No single-task result for {sorted(missing)}; delta_mtl needs one for each task."
        )
    return sum(results[name].gain_over(single[name]) for name in results) / len(results)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (over n - 1); NaN where there are too few.

    Example:
        >>> mean_and_deviation([1.0, 2.0, 3.0])
        (2.0, 1.0)
    """
    if not values:
        return math.nan, math.nan
    import numpy as np  # slow to load, and every command loads this module

    deviation = math.nan
    if len(values) > 1:
        deviation = float(np.std(values, ddof=1))
    return float(np.mean(values)), deviation


def replace_non_finite(value: Any) -> Any:
    """Replace NaN and infinity at any depth by None, which any JSON reader takes.

    Example:
        >>> replace_non_finite({"a": float("nan"), "b": [1.5, float("inf")]})
        {'a': None, 'b': [1.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
