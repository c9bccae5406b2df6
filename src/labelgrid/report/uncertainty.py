"""Computes the mean normalised uncertainty of the remaining pool, by task and round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Bools, Floats
from labelgrid.select.parts import widths


@dataclass(frozen=True)
class ScoredRound:
    """A round's scores.

    Args:
        round: its number.
        values: float [n, t]; NaN where there is no score.
        missing: bool [n, t], the cells without a label when the round was scored.
    """

    round: int
    values: Floats
    missing: Bools


def mean_normalised(
    scored: Sequence[ScoredRound], tasks: Sequence[str]
) -> dict[str, dict[int, float]]:
    """By task and round, the mean over the missing cells of (u - min) / (max - min).

    A task's min and max are those of the first round in which its scores differ and do not change,
    so the value can fall (eq. 8). Before that round it is 0.

    Source: PartAL eq. 1, A.3 and eq. 8.

    Example:
        >>> missing = np.ones((2, 1), bool)
        >>> first = ScoredRound(1, np.array([[1.0], [3.0]]), missing)
        >>> second = ScoredRound(2, np.array([[1.0], [2.0]]), missing)
        >>> mean_normalised([first, second], ["depth"])
        {'depth': {1: 0.5, 2: 0.25}}
    """
    means: dict[str, dict[int, float]] = {task: {} for task in tasks}
    bounds: dict[str, tuple[np.float64, np.float64]] = {}
    for scores in sorted(scored, key=lambda s: s.round):
        for column, task in enumerate(tasks):
            values = scores.values[scores.missing[:, column], column]
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            low, high = bounds.get(task, (values.min(), values.max()))
            width = float(widths(low, high))
            if math.isfinite(width):
                bounds[task] = (low, high)
            means[task][scores.round] = float((values.mean() - low) / width)
    return {task: rounds for task, rounds in means.items() if rounds}
