"""Says at the end of a training what went wrong in it without an error: it diverged, or a term never had a loss."""

from collections.abc import Iterable, Mapping, Sequence
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


def without_loss(history: Sequence[Mapping[str, Any]], terms: Iterable[str]) -> list[str]:
    """Those of the terms that had no loss in any epoch.

    Example:
        >>> without_loss([{"terms": {"crop.mse": 0.1}}], ["crop", "mtpsl"])
        ['mtpsl']
    """
    counted = {name.partition(".")[0] for record in history for name in record.get("terms", {})}
    return [name for name in terms if name not in counted]


def warnings(history: Sequence[Mapping[str, Any]], terms: Iterable[str], learning_rate: float) -> list[str]:
    """What to say of a training that has ended.

    Args:
        history: the log records of its epochs.
        terms: their names.
        learning_rate: of the training.

    Example:
        >>> warnings([{"loss": {"depth": 2.0}, "start": {"depth": 3.0}}], [], 0.1)
        []
    """
    said = [
        f"The term '{name}' had no loss in any step of this training: no batch had what it learns from."
        for name in without_loss(history, terms)
    ]
    if found := diverged(history):
        values = "; ".join(f"'{name}' {last:.3g}, at first {first:.3g}" for name, (first, last) in found.items())
        said.append(
            f"Warning: the training diverged. Mean losses of the last epoch: {values}. "
            f"Lower `learning_rate` in [train] (it is {learning_rate:g}) or that of the term, or set `clip`."
        )
    return said
