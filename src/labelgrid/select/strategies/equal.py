"""EquAL: picks whole images whose predictions change most when the image is mirrored.

Golestaneh & Kitani 2020, with whole images and any kind of task as in TCD's supplement (section 3).
With the option `task` it is EquAL-SS, -HPS, -SE, -ED, -DE or -SN. It needs the statistic `flips`.
"""

from dataclasses import dataclass

import numpy as np

from labelgrid.select.parts import (
    AsIs,
    ComposedStrategy,
    MinMax,
    ReadStatistic,
    Scorer,
    ScorerResult,
)
from labelgrid.select.strategy import PoolView, check_task_names


@dataclass(frozen=True)
class Options:
    """Which tasks count.

    Args:
        task: the name of the one task whose score picks the images; `""` takes the mean of all
            tasks' scores, min–max normalised over the round's pool.
    """

    task: str = ""


@dataclass(frozen=True)
class OneTask:
    """Scores all cells of an image by one task's statistic."""

    task: str

    def __call__(self, pool: PoolView) -> ScorerResult:
        """Read the statistic; a `PluginError` refuses an unknown task."""
        tasks = list(pool.grid.tasks)
        check_task_names("equal", [self.task], tasks)
        values = ReadStatistic("flips")(pool).values
        column = values[:, [tasks.index(self.task)]]
        scores = np.repeat(column, len(tasks), 1)
        return ScorerResult(scores, {"flips": values}, shared=True)


def build(options: Options) -> ComposedStrategy:
    """Build the strategy.

    Source: TCD, supplement, section 3; its mean over tasks is a reading (docs/papers.md).
    """
    scorer: Scorer = ReadStatistic("flips", "flips")
    normaliser: AsIs | MinMax = MinMax("each")
    if options.task:
        scorer = OneTask(options.task)
        normaliser = AsIs()
    return ComposedStrategy(
        needs=frozenset({"flips"}),
        scorer=scorer,
        normaliser=normaliser,
        unit="images",
        why="changes most when mirrored",
        tasks=frozenset({options.task} - {""}),
    )
