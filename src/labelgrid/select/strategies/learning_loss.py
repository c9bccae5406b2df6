"""Learning loss: picks whole images by their predicted loss.

A module that is trained along with the network predicts it. A baseline of PartAL (LLoss,
section 4.1) and of TCD (LL4AL, supplement 3). It needs the statistic `learning_loss`, and the table
`[terms.learning_loss]` in the recipe, whose `predict` chooses between the two.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from labelgrid.select.parts import (
    ComposedStrategy,
    ReadStatistic,
    ScorerResult,
    missing_means,
    widths,
)
from labelgrid.select.strategy import PoolView


@dataclass(frozen=True)
class Options:
    """The unit of picks.

    Args:
        unit: whole `"images"`, as in both papers, or single `"cells"` (ours; it needs a module per
            task).
    """

    unit: Literal["images", "cells"] = "images"


@dataclass(frozen=True)
class ScaledLosses:
    """Scores cells by predicted losses, scaled to [0, 1] for each task over the pool's images.

    The ranking loss fixes neither the zero nor the scale of a prediction, so both are computed
    again each round.

    Args:
        whole: whether images are picked. A cell without a prediction then gets the mean score of
            the image's other cells, which leaves the mean of the image unchanged.
    """

    whole: bool

    def __call__(self, pool: PoolView) -> ScorerResult:
        """Scale the losses of the statistic."""
        values = ReadStatistic("learning_loss")(pool).values
        eligible = pool.grid.eligible
        predicted = np.isfinite(values)
        pooled = predicted & eligible.any(1, keepdims=True)
        low = np.where(pooled, values, np.inf).min(0, initial=np.inf)
        high = np.where(pooled, values, -np.inf).max(0, initial=-np.inf)
        scores = (values - low) / widths(low, high)
        if self.whole:
            means = missing_means(np.where(predicted, scores, np.nan), pool.grid)
            scores = np.where(predicted, scores, means[:, None])
        return ScorerResult(scores, {"predicted loss": values})


def build(options: Options) -> ComposedStrategy:
    """Build the strategy: the images with the highest mean over their missing cells.

    For images that lack all labels, as all do in the papers, the mean orders them as the sum does.

    Source: Yoo & Kweon 2019, section 3.1; the sum of normalised losses over tasks is a reading of
    TCD's supplement.
    """
    per_task = {"terms": {"learning_loss": {"predict": "tasks"}}}
    return ComposedStrategy(
        needs=frozenset({"learning_loss"}),
        scorer=ScaledLosses(options.unit == "images"),
        unit=options.unit,
        expects=per_task if options.unit == "cells" else {},
        why="expected to be predicted worst",
    )
