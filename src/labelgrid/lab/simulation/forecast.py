"""Forecasts the time of a study from what has been finished. Loads no torch."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: The seconds of each finished step of a campaign, in a run's folder.
TIMES = "seconds.txt"
#: In place of an arm's name: all runs.
ALL_RUNS = ""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The time and the work of a run: done, and left.

    Args:
        arm: the runs of an arm have one rate.
        seconds: the time it took so far.
        done: the optimiser steps that it finished in this time.
        left: its remaining steps.
    """

    arm: str
    seconds: float
    done: float
    left: float


def seconds_left(paces: Sequence[Pace], at_once: int) -> float | None:
    """Forecast the time of all remaining steps, which includes scoring and measuring.

    A step of an arm takes as long as its finished ones, or as the mean of all if it has none.

    Returns:
        The seconds; None if no run has finished a step.

    Example:
        >>> slow = Pace(arm="partal", seconds=60, done=20, left=10)
        >>> fast = Pace(arm="random_cells", seconds=20, done=20, left=10)
        >>> other = Pace(arm="margin", seconds=0, done=0, left=10)
        >>> seconds_left([slow, fast, other], at_once=2)
        30.0
        >>> seconds_left([other], at_once=2) is None
        True
    """
    rates: dict[str, tuple[float, float]] = {}
    for pace in paces:
        if pace.done:
            for name in (pace.arm, ALL_RUNS):
                seconds, done = rates.get(name, (0.0, 0.0))
                rates[name] = (seconds + pace.seconds, done + pace.done)
    if not rates:
        return None
    total = 0.0
    for pace in paces:
        seconds, done = rates.get(pace.arm, rates[ALL_RUNS])
        total += pace.left * seconds / done
    return total / max(at_once, 1)


def record_seconds(folder: Path, seconds: float) -> None:
    """Add the time of a finished step to those of a run's folder."""
    with (folder / TIMES).open("a", encoding="utf-8") as file:
        file.write(f"{seconds:.3f}\n")


def recorded_seconds(folder: Path) -> float:
    """The time that a run's finished steps took; 0 if none is known."""
    path = folder / TIMES
    if not path.is_file():
        return 0.0
    total = 0.0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):  # the machine stopped while the line was written
            seconds = float(line)
            if 0 <= seconds < math.inf:
                total += seconds
    return total
