"""Class share: picks the images with the largest predicted share of a class.

The strategy finds further labels of a rare class, and measures nothing: images in which the model
misses the class are not found. It needs the statistic `classes`. `labelgrid query --class` sets its
options.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from labelgrid.select.class_statistic import CLASSES, shares_of_class
from labelgrid.select.parts import ComposedStrategy, ScorerResult
from labelgrid.select.strategy import PoolView, check_task_names


@dataclass(frozen=True)
class Options:
    """The class.

    Args:
        task: the name of its task; `""`: the first task that predicts classes.
        number: the number of the class among the classes of its task, from 0.
        name: the name of the class, for the reasons of picks.
    """

    task: str = ""
    number: Annotated[int, Field(ge=0)] = 0
    name: str = ""


@dataclass(frozen=True)
class ClassShare:
    """Scores all cells of an image by the share of the image that is predicted as a class."""

    options: Options

    def __call__(self, pool: PoolView) -> ScorerResult:
        """Read the shares; a `PluginError` refuses an unknown task."""
        tasks = list(pool.grid.tasks)
        statistic = pool.statistics[CLASSES]
        if self.options.task:
            check_task_names("class_share", [self.options.task], tasks)
            column = tasks.index(self.options.task)
        else:
            is_predicted = np.nan_to_num(statistic).any(0).reshape(len(tasks), -1)
            column = int(is_predicted.any(1).argmax())
        fractions = shares_of_class(statistic, len(tasks), column, self.options.number)
        scores = np.repeat(fractions[:, None], len(tasks), 1)
        return ScorerResult(scores, {"share": fractions}, shared=True)


def build(options: Options) -> ComposedStrategy:
    """Build the strategy: whole images, of which a query can be limited to some tasks."""
    return ComposedStrategy(
        needs=frozenset({CLASSES}),
        scorer=ClassShare(options),
        unit="images",
        why=f"largest predicted share of {options.name or 'the class'}",
        tasks=frozenset({options.task} - {""}),
    )
