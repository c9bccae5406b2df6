"""How end-to-end tests run a command as a process of its own that dies by SIGKILL at a chosen moment.

A *moment* is right before the process makes something last: before it flushes a file, gives a file its name or commits
to the ledger. A file that was written, but neither flushed nor named, when the process was killed is cut in half, as if
it had been killed while it wrote.
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
    "labelgrid.project.export",
    "labelgrid.project.import_labels",
    "labelgrid.rounds.query",
    "tests.e2e.commands",
]
#: Images a part of the pool: several parts, so that a killed `score` has some to keep.
PART = 3


class Moments:
    """Notes moments by kind; sends this process a signal before number `last`."""

    def __init__(self, last: int, by: signal.Signals) -> None:
        self.kinds: list[str] = []
        self.named: dict[Path, int] = {}
        self.last, self.by = last, by

    def passed(self, kind: str) -> None:
        self.kinds.append(kind)
        if len(self.kinds) == self.last:
            os.kill(os.getpid(), self.by)

    def flushed(self, file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        written = path.is_file() and path.stat().st_mtime_ns != self.named.get(path)
        if len(self.kinds) + 1 == self.last and written:
            os.truncate(path, path.stat().st_size // 2)
        self.passed("flush")

    def placed(self, source: object, target: object) -> None:
        self.named[Path(str(target)).resolve()] = Path(str(source)).stat().st_mtime_ns
        self.passed("name")

    def before(self, function: Callable[..., Any], noted: Callable[..., None]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            noted(*arguments)
            return function(*arguments)

        return watched

    def watch(self) -> None:
        """From now on, in this process."""
        from sqlalchemy import Engine, event

        os.fsync = self.before(os.fsync, self.flushed)
        os.replace, os.rename = self.before(os.replace, self.placed), self.before(os.rename, self.placed)
        event.listen(Engine, "commit", lambda connection: self.passed("commit"))


def command(*words: object, die: int = 0, by: signal.Signals = signal.SIGKILL) -> list[str]:
    """Run `labelgrid WORDS` as a process that is killed (SIGKILL) or stopped (SIGINT) before moment `die` (0: never).

    Returns:
        the kinds of its moments, or nothing if it was killed or stopped.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_command, args=([str(word) for word in words], die, by, sender))
    process.start()
    sender.close()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return []
    code, text, moments = receiver.recv()
    if code == STOPPED:
        assert text.endswith("Run the same command to resume.\n"), text
        return []
    assert (process.exitcode, code) == (0, 0), text
    assert not die or len(moments) < die
    return list(moments)


def _command(words: list[str], die: int, by: signal.Signals, sender: Any) -> None:
    import torch

    from labelgrid.rounds import score
    from tests.e2e.commands import typed

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background inherits that it is ignored
    torch.set_num_threads(1)  # equal sums in every run
    score.ScoringJob = partial(score.ScoringJob, part=PART)  # type: ignore[assignment,misc]
    moments = Moments(die, by)
    moments.watch()
    found = typed(*words)
    sender.send((found.code, found.out + found.err, moments.kinds))
    sender.close()
