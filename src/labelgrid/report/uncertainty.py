"""Computes the mean normalised uncertainty of the remaining pool, by task and round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoredRound:
    """A round's scores.

    Args:
        round: its number.
        values: float [n, t]; NaN where there is no score.
        missing: bool [n, t], the cells without a label when the round was scored.
    """

    round: int
    values: NDArray[np.float64]
    missing: NDArray[np.bool_]


def mean_normalised(
    scored: Sequence[ScoredRound], tasks: Sequence[str]
) -> dict[str, dict[int, float]]:
    """By task and round, the mean over the missing cells of (u - min) / (max - min).

    A task's min and max are those of its first scored round and do not change, so the value can
    fall (eq. 8).

    Source: PartAL eq. 1, A.3 and eq. 8.

    Example:
        >>> missing = np.ones((2, 1), bool)
        >>> first = ScoredRound(1, np.array([[1.0], [3.0]]), missing)
        >>> second = ScoredRound(2, np.array([[1.0], [2.0]]), missing)
        >>> mean_normalised([first, second], ["depth"])
        {'depth': {1: 0.5, 2: 0.25}}
    """
    means: dict[str, dict[int, float]] = {task: {} for task in tasks}
    bounds: dict[str, tuple[float, float]] = {}
    for scores in sorted(scored, key=lambda s: s.round):
        for column, task in enumerate(tasks):
            values = scores.values[scores.missing[:, column], column]
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            low, high = bounds.setdefault(task, (float(values.min()), float(values.max())))
            mean = 0.0
            if high > low:
                mean = float((values.mean() - low) / (high - low))
            means[task][scores.round] = mean
    return {task: rounds for task, rounds in means.items() if rounds}
