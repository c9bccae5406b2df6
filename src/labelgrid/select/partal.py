"""PartAL: picks the most uncertain (image, task) cells, with uncertainties normalised by a fixed min-max per task.

It picks from the whole grid (Durasov, Dorndorf & Fua 2022). With other statistics it picks by these: BALD, least
confidence, margin, a deep ensemble.
"""

from dataclasses import dataclass
from typing import Literal

from labelgrid.select.parts import AsIs, Composed, MinMax, Read


@dataclass(frozen=True)
class Options:
    """Switches of the ablations.

    Args:
        normalise: bounds of the min–max: those of the task's `"first"` scored round, kept in the ledger (eq. 1, A.3);
            recomputed in `"each"` round; or `"none"` (ablation of figure 12).
        statistic: the uncertainty of a cell, any statistic with one value per cell; `"dropout"` as in the paper.
        unit: picks single `"cells"`, or all missing cells of the `"images"` with the highest mean score.
    """

    normalise: Literal["first", "each", "none"] = "first"
    unit: Literal["cells", "images"] = "cells"
    statistic: str = "dropout"


def build(options: Options) -> Composed:
    """Build the strategy of Durasov, Dorndorf & Fua 2022.

    Source: PartAL section 3.2, eq. 1; uncertainties of A.1 with known labels fed in (section 3.3).
    """
    return Composed(
        needs=frozenset({options.statistic}),
        scorer=Read(options.statistic),
        normaliser=AsIs() if options.normalise == "none" else MinMax(options.normalise),
        unit=options.unit,
        why="most uncertain",
    )
