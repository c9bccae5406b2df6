"""Defines the options of strategies that pick by the uncertainty of a cell: PartAL, BALD, least confidence, margin."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """How uncertainties become picks: the switches of PartAL's ablations.

    Args:
        normalise: bounds of the min–max: those of the task's `"first"` scored round, kept in the
            ledger (PartAL eq. 1, A.3); recomputed in `"each"` round; or `"none"` (ablation of
            figure 12).
        statistic: the uncertainty of a cell, a statistic with one value per cell; `"dropout"` as in
            PartAL. Of `bald`, `least_confidence` and `margin` it is one that has their `measure`.
        unit: picks single `"cells"`, or all missing cells of the `"images"` with the highest mean
            score.
    """

    normalise: Literal["first", "each", "none"] = "first"
    unit: Literal["cells", "images"] = "cells"
    statistic: str = "dropout"
