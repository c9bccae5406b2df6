"""Estimates from a campaign's curves how much further labels of each task gain.

The loss of a task on the val images is taken as a power of the number of its labels. The exponent
is the task's gain: doubling labels takes the same share off its loss at any number of labels.
"""

from collections.abc import Sequence

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.select.strategy import TrainedRound

#: The fewest rounds with losses on val images: fewer give a line, but not how sure it is.
FEWEST = 3
#: No task's gain is taken to be less than this share of the mean, so that none starves.
LEAST = 0.25


def task_gains(history: Sequence[TrainedRound], tasks: Sequence[str]) -> Floats:
    """The gain of each task, float64 [t], with a mean of about 1.

    The exponents are drawn toward their mean as far as the curves do not tell them apart: where
    the differences are no larger than their standard errors, all gains are 1.

    Args:
        history: the campaign's finished trainings.
        tasks: t names.

    Example:
        >>> rounds = []
        >>> for number, labels in enumerate((10, 20, 40, 80)):
        ...     val = {"depth/loss": labels**-0.3, "edges/loss": labels**-0.1}
        ...     counts = {"depth": labels, "edges": labels}
        ...     rounds.append(TrainedRound(round=number, labels=counts, cost=2.0 * labels, val=val))
        >>> task_gains(rounds, ["depth", "edges"]).round(2).tolist()
        [1.5, 0.5]
        >>> task_gains(rounds[:2], ["depth", "edges"]).tolist()
        [1.0, 1.0]
    """
    exponents = np.full(len(tasks), np.nan)
    errors = np.full(len(tasks), np.nan)
    for column, task in enumerate(tasks):
        curve = _curve(history, task)
        if len(curve) >= FEWEST and np.ptp(curve[:, 0]) > 0:
            exponents[column], errors[column] = _fit_line(curve)
    return _shrink(exponents, errors)


def _curve(history: Sequence[TrainedRound], task: str) -> Floats:
    """The logarithms of labels and of 1 / loss [rounds, 2], of the rounds that have both.

    What followed from other labels counts as labels, too.
    """
    points = []
    for trained in history:
        loss = trained.val.get(f"{task}/loss", 0.0)
        labels = trained.labels.get(task, 0) + trained.derived.get(task, 0.0)
        if loss > 0 and labels > 0:
            points.append((np.log(labels), -np.log(loss)))
    return np.array(points).reshape(-1, 2)


def _fit_line(curve: Floats) -> tuple[float, float]:
    """The slope of a line through points [n, 2] by least squares, and its standard error."""
    x, y = curve.T - curve.mean(0)[:, None]
    spread = float(x @ x)
    slope = float(x @ y) / spread
    rest = y - slope * x
    return slope, float(np.sqrt(rest @ rest / (len(curve) - 2) / spread))


def _shrink(exponents: Floats, errors: Floats) -> Floats:
    """Exponents, drawn toward their mean as far as their errors explain the differences."""
    known = np.isfinite(exponents)
    gains = np.ones(len(exponents))
    if known.sum() < 2:
        return gains
    found = exponents[known]
    noise = errors[known] ** 2
    mean = found.mean()
    if mean <= 0:
        return gains
    between = max(float(found.var(ddof=1) - noise.mean()), 0.0)
    total = between + noise
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    gains[known] = np.maximum(1 + share * (found / mean - 1), LEAST)
    return gains
