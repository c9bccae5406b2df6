"""Runs trials in worker processes, and notices what a trial cannot tell itself: a hang, a crash, too much memory."""

import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labelgrid.basics.errors import LabelgridError
from tests.e2e.killing import preloaded_context
from tests.torture.counting import Row

#: A trial: its row, and how it ended; a `LabelgridError` means refused.
Attack = Callable[[int], tuple[str, str] | str]
WORKERS = 2
#: The most memory that a trial may add to its process, in MiB.
MEMORY = 256
#: The limit of pixels (LABELGRID_MAX_PIXELS) in these processes.
PIXELS = 10_000_000


def run(attack: Attack, numbers: Iterable[int], seconds: float = 30) -> list[Row]:
    """Run every trial of an attack; returns its rows, ordered by name.

    Args:
        attack: called with each number in a worker process; returns the row's name and the outcome.
        seconds: a trial that takes longer is a hang.
    """
    rows: dict[str, Row] = {}

    def count(name: str, outcome: str, note: str) -> None:
        rows.setdefault(name, Row(name)).count(outcome, note)

    left = list(numbers)[::-1]
    workers = [_Worker(attack) for _ in range(min(WORKERS, len(left)))]
    try:
        for worker in workers:
            worker.give(left.pop())
        while busy := [worker for worker in workers if worker.number is not None]:
            wait([worker.pipe for worker in busy], timeout=1)
            for worker in busy:
                result = worker.result(seconds)
                if result is not None:
                    count(*result)
                    if getattr(attack, "alone", False):
                        worker.stop()
                        worker.start()
                    worker.give(left.pop() if left else None)
    finally:
        for worker in workers:
            worker.stop()
    return [rows[name] for name in sorted(rows)]


class _Worker:
    """A process that runs one trial after another.

    A new one takes its place when it hangs or dies.
    """

    def __init__(self, attack: Attack) -> None:
        self.attack, self.name = attack, getattr(attack, "name", type(attack).__name__)
        self.number: int | None = None
        self.start()

    def start(self) -> None:
        context = preloaded_context()
        self.pipe, other = context.Pipe()
        self.said = tempfile.NamedTemporaryFile()  # noqa: SIM115
        arguments = (self.attack, other, self.said.name)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()
        other.close()

    def give(self, number: int | None) -> None:
        self.number, self.since = number, time.monotonic()
        if number is not None:
            self.pipe.send(number)

    def result(self, seconds: float) -> tuple[str, str, str] | None:
        """The row's name, the outcome and a note, if the trial has ended or must end."""
        found = None
        if self.pipe.poll():
            with suppress(EOFError, OSError):
                return tuple(self.pipe.recv())
            found = (self.name, self._death(), f"trial {self.number}: the process died")
        elif time.monotonic() - self.since > seconds:
            found = (self.name, "hang", f"trial {self.number}")
        if found:
            self.stop()
            self.start()
        return found

    def _death(self) -> str:
        """The outcome of a trial whose process died: an attack may expect some words of the system."""
        self.process.join(1)
        words = getattr(self.attack, "last_words", None)
        expected = words is not None and words in Path(self.said.name).read_text(errors="replace")
        return "refused" if expected else "traceback"

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.said.close()


def _work(attack: Attack, pipe: Connection, said: str) -> None:
    os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), 2)  # decoders print lines of their own
    os.environ["LABELGRID_MAX_PIXELS"] = str(PIXELS)
    warnings.simplefilter("error", RuntimeWarning)  # a user sees it as a line of code
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            number = pipe.recv()
            name, outcome, note, more = _measured(attack, number)
            if more > MEMORY:  # what stays loaded, such as a library, is not taken a second time
                name, outcome, note, more = _measured(attack, number)
            if more > MEMORY and outcome in ("refused", "right", "unnoticed"):
                outcome, note = "memory", f"trial {number}: {more:.0f} MiB"
            pipe.send((name, outcome, note))


def _measured(attack: Any, number: int) -> tuple[str, str, str, float]:
    """How a trial ended, and the memory that it added to this process, in MiB."""
    before = peak(fresh=True)
    name, outcome, note = _tried(attack, number)
    return name, outcome, note, peak() - before


def _tried(attack: Any, number: int) -> tuple[str, str, str]:
    name = attack.named(number)
    try:
        return name, attack(number), f"trial {number}: {getattr(attack, 'note', '')}"
    except LabelgridError as error:
        return name, "refused" if str(error) else "traceback", "a message without words"
    except BaseException:  # noqa: BLE001
        return (
            name,
            "traceback",
            f"trial {number}: {getattr(attack, 'note', '')} {traceback.format_exc(limit=-3)}",
        )


def peak(fresh: bool = False, process: object = "self") -> float:
    """The most memory that a process had, in MiB, since it was asked with `fresh`."""
    if fresh:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024
