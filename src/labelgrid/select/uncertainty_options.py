"""Defines the options of the strategies that pick by the uncertainty of a cell.

These are PartAL, BALD, least confidence and margin.
"""

from dataclasses import dataclass
from typing import Literal

from labelgrid.select.strategy import PickUnit


@dataclass(frozen=True)
class Options:
    """How uncertainties become picks: the switches of PartAL's ablations.

    Args:
        normalise: the bounds of the min–max: of the task's `"first"` scored round (PartAL eq. 1,
            A.3); of `"each"` round; or `"none"` (ablation of figure 12).
        unit: picks single `"cells"`, or all missing cells of the `"images"` with the highest mean
            score.
        statistic: the uncertainty of a cell, a statistic with one value per cell; `"dropout"` as in
            PartAL. `bald`, `least_confidence` and `margin` need one that has their `measure`.
    """

    normalise: Literal["first", "each", "none"] = "first"
    unit: PickUnit = "cells"
    statistic: str = "dropout"
