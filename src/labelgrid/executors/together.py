"""Runs a command in several processes that work together; a bad end of any ends all.

Each process learns its number from the environment, as under torchrun. They connect by a file and
the loopback interface, not by a port of the machine. Loads no torch.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labelgrid.basics.errors import LabelgridError, TrainingError
from labelgrid.basics.processes import TOGETHER, cores, end_with_parent
from labelgrid.executors.command_job import INTERRUPTED, python_words

#: The variables of torchrun.
OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
#: Seconds between two looks at the processes.
EVERY = 0.05
#: Seconds that the others have to end by themselves, and then after SIGTERM.
GRACE = 3.0
LAST_GRACE = 10.0
#: The last characters of what a process printed, for messages.
TAIL = 2000


class LostProcessError(TrainingError):
    """Another process of the training has ended, or cannot be reached."""


@dataclass(frozen=True)
class ProcessRank:
    """The rank of this process among several.

    Args:
        rank: its number, from 0.
        size: how many there are.
        local: its number on its machine.
        address: where they meet, a URL for torch.
    """

    rank: int
    size: int
    local: int
    address: str


def place_from_environment(environment: Mapping[str, str] = os.environ) -> ProcessRank | None:
    """Return the rank of this process among several; None if the process is alone.

    Example:
        >>> place_from_environment({}) is None
        True
        >>> words = {"RANK": "1", "WORLD_SIZE": "2", "LABELGRID_TOGETHER": "/tmp/x"}
        >>> place_from_environment(words).address
        'file:///tmp/x/store'
    """
    folder = environment.get(TOGETHER)
    needed = ("RANK", "WORLD_SIZE") if folder else OF_TORCHRUN
    if not all(name in environment for name in needed) or int(environment["WORLD_SIZE"]) < 2:
        return None
    rank = int(environment["RANK"])
    return ProcessRank(
        rank=rank,
        size=int(environment["WORLD_SIZE"]),
        local=int(environment.get("LOCAL_RANK", rank)),
        address=f"file://{folder}/store" if folder else "env://",
    )


def is_first_place() -> bool:
    """Whether this process is alone or the first of several, and so tells the results."""
    process = place_from_environment()
    return process is None or process.rank == 0


def leave_error(error: LabelgridError | None) -> None:
    """Leave an error for the process that called `run_together`, to be told there.

    Args:
        error: why it ends; None: the process was stopped, as its exit status says.
    """
    if error is None:
        return
    values = {
        "what": error.what,
        "where": error.where,
        "next_step": error.next_step,
        "unchanged": error.unchanged,
        "code": error.exit_code,
        "lost": isinstance(error, LostProcessError),
    }
    path = Path(os.environ[TOGETHER], f"error-{os.environ['RANK']}.json")
    path.write_text(json.dumps(values), encoding="utf-8")


def run_together(words: Sequence[str], count: int) -> None:
    """Run `python -m labelgrid WORD ...` in several processes, and wait until all have ended.

    The first process shows its progress on stderr; output of the others is shown only if they fail.
    Its results are files.

    Args:
        words: the command and its arguments.
        count: the number of processes.

    Raises:
        TrainingError: a process died. The others have ended.
        LabelgridError: a process ended with this error.
        KeyboardInterrupt: this process was stopped, or the first one was asked to.
    """
    with TemporaryDirectory(prefix="labelgrid-") as name:
        together = _Together(Path(name), count)
        try:
            together.start(words)
            together.wait()
        finally:
            together.end()
        together.tell_fault()


class _Together:
    """Several processes of one command."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.processes: list[subprocess.Popen[bytes]] = []
        self.codes: dict[int, int] = {}

    def start(self, words: Sequence[str]) -> None:
        loopback = "lo" if sys.platform == "linux" else "lo0"
        shared = {
            "OMP_NUM_THREADS": str(max(1, cores() // self.count)),
            "GLOO_SOCKET_IFNAME": loopback,
            "NCCL_SOCKET_IFNAME": loopback,
            **os.environ,
            TOGETHER: str(self.folder),
            "WORLD_SIZE": str(self.count),
        }
        for rank in range(self.count):
            with (self.folder / f"said-{rank}.txt").open("wb") as said:
                process = subprocess.Popen(
                    [*python_words(), "-m", "labelgrid", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said if rank else None,
                    env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                    preexec_fn=end_with_parent,
                )
            self.processes.append(process)

    def wait(self) -> None:
        """Wait until all processes have ended, or any has ended badly."""
        while len(self.codes) < self.count and not any(self.codes.values()):
            time.sleep(EVERY)
            self._look()

    def _look(self) -> None:
        """Note the exit codes of processes that have ended by themselves."""
        for rank, process in enumerate(self.processes):
            code = process.poll()
            if code is not None:
                self.codes.setdefault(rank, code)

    def end(self) -> None:
        """Let the remaining processes end by themselves, then by SIGTERM, then by SIGKILL."""
        self._wait_at_most(GRACE)
        self._look()
        for process in self.processes:
            process.terminate()
        self._wait_at_most(LAST_GRACE)
        for process in self.processes:
            process.kill()
            process.wait()

    def _wait_at_most(self, seconds: float) -> None:
        limit = time.monotonic() + seconds
        while any(process.poll() is None for process in self.processes):
            if time.monotonic() > limit:
                return
            time.sleep(EVERY)

    def tell_fault(self) -> None:
        """Raise the error of the process that ended the rest; return if all ended well."""
        ends = {rank: code for rank, code in self.codes.items() if code}
        if not ends:
            return
        killed = [rank for rank, code in ends.items() if code < 0 and code not in INTERRUPTED]
        if killed:
            raise self._death(killed[0], -ends[killed[0]])
        errors = self._errors()
        first_faults = [values for values in errors.values() if not values["lost"]]
        for values in first_faults:
            raise _error_of(values)
        if any(code in INTERRUPTED for code in ends.values()):
            raise KeyboardInterrupt
        silent = [rank for rank in ends if rank not in errors]
        for rank in silent:
            raise TrainingError(
                f"Process {rank + 1} of the training's {self.count} ended with code {ends[rank]}.",
                where=self._tail(rank),
                next_step="Run the same command again: it resumes the training.",
            )
        for values in errors.values():
            raise _error_of(values)

    def _errors(self) -> dict[int, dict[str, Any]]:
        errors = {}
        for rank in range(self.count):
            path = self.folder / f"error-{rank}.json"
            if path.is_file():
                errors[rank] = json.loads(path.read_text(encoding="utf-8"))
        return errors

    def _death(self, rank: int, number: int) -> TrainingError:
        name = signal.Signals(number).name
        hint = "; where memory ran out, take smaller batches" if number == signal.SIGKILL else ""
        return TrainingError(
            f"Process {rank + 1} of the training's {self.count} was ended by {name}, "
            "and the others have ended with it.",
            where=self._tail(rank),
            next_step=f"Run the same command again: it resumes the training{hint}.",
            unchanged="Every whole epoch is kept.",
        )

    def _tail(self, rank: int) -> str:
        text = (self.folder / f"said-{rank}.txt").read_text(encoding="utf-8", errors="replace")
        return text.strip()[-TAIL:]


def _error_of(values: Mapping[str, Any]) -> LabelgridError:
    error = TrainingError(
        values["what"],
        where=values["where"],
        next_step=values["next_step"],
        unchanged=values["unchanged"],
    )
    error.exit_code = values["code"]
    return error
