"""How end-to-end tests run a command as a process of its own that dies by SIGKILL at a chosen moment.

A *moment* is right before the process makes something last: before it flushes a file, gives a file its name or commits
to the ledger. What lies on the disk changes for later readers at no other time, so killing before each moment (and
nowhere else) meets every state that `kill -9` can leave behind.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

#: The exit status after Ctrl-C.
STOPPED = 130
#: Loaded once, so that a new process is there at once.
PRELOADED = [
    "pytest",
    "alembic.command",
    "labelgrid.campaign.exporting",
    "labelgrid.campaign.importing",
    "labelgrid.campaign.querying",
    "tests.e2e.commands",
]
#: Images a part of the pool: several parts, so that a killed `score` has some to keep.
PART = 3


class Moments:
    """Counts moments; sends this process a signal before number `last`."""

    def __init__(self, last: int, by: signal.Signals) -> None:
        self.count, self.last, self.by = 0, last, by

    def passed(self, *_: Any) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), self.by)

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            self.passed()
            return function(*arguments, **options)

        return watched

    def watch(self) -> None:
        """From now on, in this process."""
        from sqlalchemy import Engine, event

        os.fsync, os.replace = self.before(os.fsync), self.before(os.replace)
        Path.replace, Path.rename = self.before(Path.replace), self.before(Path.rename)  # type: ignore[method-assign]
        event.listen(Engine, "commit", self.passed)


def command(*words: object, die: int = 0, by: signal.Signals = signal.SIGKILL) -> int:
    """Run `labelgrid WORDS` as a process that is killed (SIGKILL) or stopped (SIGINT) before moment `die` (0: never).

    Returns:
        how many moments there were, or 0 if it was killed or stopped.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_command, args=([str(word) for word in words], die, by, sender))
    process.start()
    sender.close()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return 0
    code, text, moments = receiver.recv()
    if code == STOPPED:
        assert text.endswith("run the same command to go on.\n"), text
        return 0
    assert (process.exitcode, code) == (0, 0), text
    assert not die or moments < die
    return int(moments)


def _command(words: list[str], die: int, by: signal.Signals, sender: Any) -> None:
    import torch

    from labelgrid.campaign import scoring
    from tests.e2e.commands import typed

    torch.set_num_threads(1)  # equal sums in every run
    scoring.Work = partial(scoring.Work, part=PART)  # type: ignore[assignment,misc]
    moments = Moments(die, by)
    moments.watch()
    found = typed(*words)
    sender.send((found.code, found.out + found.err, moments.count))
    sender.close()
