"""RBAL: picks whole images by the sum of their tasks' uncertainty ranks.

The images of the pool are ranked by their uncertainty for each task, the most uncertain highest;
equal ones share the mean of their ranks. A baseline of PartAL (section 4.1) and of TCD.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from labelgrid.select.parts import ComposedStrategy, ReadStatistic, ScorerResult
from labelgrid.select.strategy import PoolView


@dataclass(frozen=True)
class Options:
    """The uncertainty that is ranked.

    Args:
        statistic: a statistic with one value per cell, such as `"dropout"` or `"ensemble"`.
    """

    statistic: str = "dropout"


@dataclass(frozen=True)
class Ranks:
    """Scores cells by the rank of their uncertainty among the pool's n images, from 1 to n.

    A cell without a score has no rank; it gets the rank of a random other cell (`fill_unknown`).

    Source: PartAL section 4.1 (eq rank).
    """

    read: ReadStatistic

    def __call__(self, pool: PoolView) -> ScorerResult:
        """Rank the values of the statistic."""
        values = self.read(pool).values
        rows = np.flatnonzero(pool.grid.eligible.any(1))
        ranks = np.full(values.shape, np.nan)
        for column in range(values.shape[1]):
            ranked = rows[np.isfinite(values[rows, column])]
            ranks[ranked, column] = rankdata(values[ranked, column])
        return ScorerResult(ranks, {"uncertainty": values, "uncertainty rank": ranks})


def build(options: Options) -> ComposedStrategy:
    """Build the strategy: the images with the highest mean rank over their missing cells.

    For images that lack all labels, as all do in the papers, the mean orders them as the sum does.
    """
    return ComposedStrategy(
        needs=frozenset({options.statistic}),
        scorer=Ranks(ReadStatistic(options.statistic)),
        unit="images",
        why="ranks among the most uncertain",
    )
