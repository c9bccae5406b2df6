"""Defines measured numbers with unit and direction, and the multi-task summary `delta_mtl`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Better = Literal["higher", "lower"]
#: The name of the weighted sum of all tasks' losses.
LOSS = "loss_mtl"


@dataclass(frozen=True)
class Result:
    """A measured number; `better` says which direction is an improvement.

    Example:
        >>> Result("mErr", 21.4, "degree", "lower").gain_over(Result("mErr", 26.75, "degree", "lower"))
        0.2
    """

    name: str
    value: float
    unit: str
    better: Better

    def gain_over(self, base: "Result") -> float:
        """Signed relative gain over `base`, as a fraction: positive is better, 0.1 is ten percent."""
        change = (self.value - base.value) / base.value
        return round(change if self.better == "higher" else -change, 12)


def delta_mtl(results: Mapping[str, Result], single: Mapping[str, Result]) -> float:
    """Mean signed relative gain of each task's headline metric over its single-task network, as a fraction.

    Source: Vandenhende et al. 2021 (the survey), multi-task performance; MTPSL and TCD report it ×
    100.

    Example:
        >>> a = {"depth": Result("RMSE", 0.9, "m", "lower"), "semseg": Result("mIoU", 0.33, "", "higher")}
        >>> b = {"depth": Result("RMSE", 1.0, "m", "lower"), "semseg": Result("mIoU", 0.30, "", "higher")}
        >>> round(delta_mtl(a, b), 6)
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
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def replace_non_finite(value: Any) -> Any:
    """A value whose measured numbers any JSON reader takes: at any depth, NaN and infinity become None.

    Example:
        >>> for_json({"a": float("nan"), "b": [1.5, float("inf")]})
        {'a': None, 'b': [1.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
