"""EquAL: picks whole images whose predictions change most when the image is mirrored.

Golestaneh & Kitani 2020, with whole images and any kind of task as TCD's supplement (section 3) has
it. With `task` it is EquAL-SS, -HPS, -SE, -ED, -DE or -SN. It needs the statistic `flips`.
"""

from dataclasses import dataclass

import numpy as np

from labelgrid.select.parts import AsIs, Composed, MinMax, Read, Scored
from labelgrid.select.strategy import PoolView, check_named


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

    def __call__(self, pool: PoolView) -> Scored:
        """As `Scorer`.

        Raises:
            PluginError: there is no such task.
        """
        tasks = list(pool.grid.tasks)
        check_named("equal", [self.task], tasks)
        values = Read("flips")(pool).values
        return Scored(
            np.repeat(values[:, [tasks.index(self.task)]], len(tasks), 1),
            {"flips": values},
            shared=True,
        )


def build(options: Options) -> Composed:
    """Build the strategy.

    Source: TCD, supplement, section 3; its mean over tasks is a reading (docs/papers.md).
    """
    return Composed(
        needs=frozenset({"flips"}),
        scorer=OneTask(options.task) if options.task else Read("flips", "flips"),
        normaliser=AsIs() if options.task else MinMax("each"),
        unit="images",
        why="changes most when mirrored",
        tasks=frozenset({options.task} - {""}),
    )
