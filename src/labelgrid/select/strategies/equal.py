"""EquAL: picks whole images whose predictions change most when the image is mirrored.

Golestaneh & Kitani 2020, with whole images and any kind of task as TCD's supplement (section 3) has
it. With `task` it is EquAL-SS, -HPS, -SE, -ED, -DE or -SN. It needs the statistic `flips`.
"""

from dataclasses import dataclass

import numpy as np

from labelgrid.select.parts import AsIs, ComposedStrategy, MinMax, ReadStatistic, ScorerResult
from labelgrid.select.strategy import PoolView, check_task_names


@dataclass(frozen=True)
class Options:
    """Which tasks count.

    Args:
        task: the name of the one task whose score picks the images; `""` takes the mean over all
            tasks of the scores, min–max normalised over the round's pool.
    """

    task: str = ""


@dataclass(frozen=True)
class OneTask:
    """Scores all cells of an image by one task's statistic."""

    task: str

    def __call__(self, pool: PoolView) -> ScorerResult:
        """As `Scorer`.

        Raises:
            PluginError: there is no such task.
        """
        tasks = list(pool.grid.tasks)
        check_task_names("equal", [self.task], tasks)
        values = ReadStatistic("flips")(pool).values
        return ScorerResult(
            np.repeat(values[:, [tasks.index(self.task)]], len(tasks), 1),
            {"flips": values},
            shared=True,
        )


def build(options: Options) -> ComposedStrategy:
    """Build the strategy.

    Source: TCD, supplement, section 3; its mean over tasks is a reading (docs/papers.md).
    """
    return ComposedStrategy(
        needs=frozenset({"flips"}),
        scorer=OneTask(options.task) if options.task else ReadStatistic("flips", "flips"),
        normaliser=AsIs() if options.task else MinMax("each"),
        unit="images",
        why="changes most when mirrored",
        tasks=frozenset({options.task} - {""}),
    )
