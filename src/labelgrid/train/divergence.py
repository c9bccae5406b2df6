"""Finds losses that ended far above where they started: the training diverged, if finitely."""

from collections.abc import Mapping, Sequence
from typing import Any

#: How many times the loss in its first batch a task's mean loss may be at the end.
RISE = 3.0


def diverged_losses(history: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return the tasks whose losses ended too high, with their first and their last losses.

    Args:
        history: the log records of a training's epochs. The first one holds the mean loss of each
            task in its first batch with a label (`start`), if the network began from its initial
            weights.

    Example:
        >>> first = {"loss": {"depth": 9e8, "edges": 0.4}, "start": {"depth": 3.0, "edges": 0.6}}
        >>> diverged_losses([first, {"loss": {"depth": 8e8, "edges": 0.3}}])
        {'depth': (3.0, 800000000.0)}
    """
    start = history[0].get("start", {})
    last = history[-1]["loss"]
    diverged = {}
    for task, loss in last.items():
        if task in start and loss > RISE * start[task]:
            diverged[task] = (start[task], loss)
    return diverged


def divergence_warning(history: Sequence[Mapping[str, Any]], learning_rate: float) -> str:
    """Write a warning about a training that diverged; "" if it did not.

    Args:
        history: the log records of its epochs.
        learning_rate: of the training.

    Example:
        >>> divergence_warning([{"loss": {"depth": 2.0}, "start": {"depth": 3.0}}], 0.1)
        ''
    """
    diverged = diverged_losses(history)
    if not diverged:
        return ""
    values = []
    for task, (first, last) in diverged.items():
        values.append(f"'{task}' {last:.3g}, at first {first:.3g}")
    return (
        f"Warning: the training diverged. Mean losses of the last epoch: {'; '.join(values)}. "
        f"Lower `learning_rate` in [train] (it is {learning_rate:g}), or set `clip`."
    )
