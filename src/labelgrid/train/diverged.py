"""Finds losses that ended far above where they started: the training diverged, though all numbers are finite."""

from collections.abc import Mapping, Sequence
from typing import Any

#: How many times the first batch's loss a task's mean loss may be at the end, and a term's.
TASK_RISE, TERM_RISE = 3.0, 100.0


def diverged(history: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """The losses of tasks and terms that ended too high, with their first and their last values.

    Args:
        history: the log records of a training's epochs. The first one holds the losses of the first batch (`start`);
            tasks without a label in it are not judged.

    Example:
        >>> first = {"loss": {"depth": 9e8, "edges": 0.4}, "start": {"depth": 3.0, "edges": 0.6}}
        >>> diverged([first, {"loss": {"depth": 8e8, "edges": 0.3}}])
        {'depth': (3.0, 800000000.0)}
    """
    start, last = history[0].get("start", {}), history[-1]
    ends = [(name, value, TASK_RISE) for name, value in last["loss"].items()]
    ends += [(name, value, TERM_RISE) for name, value in last.get("terms", {}).items()]
    return {name: (start[name], value) for name, value, rise in ends if value > rise * start.get(name, float("inf"))}


def warning(history: Sequence[Mapping[str, Any]], learning_rate: float) -> str:
    """What to say of a training that diverged; "" if it did not.

    Example:
        >>> warning([{"loss": {"depth": 2.0}, "start": {"depth": 3.0}}], 0.1)
        ''
    """
    found = diverged(history)
    if not found:
        return ""
    values = "; ".join(f"'{name}' {last:.3g}, in the first batch {first:.3g}" for name, (first, last) in found.items())
    return (
        f"Warning: the training diverged. Mean losses in the last epoch: {values}. "
        f"Lower `learning_rate` in [train] (it is {learning_rate:g}) or that of the term, or set `clip`."
    )
