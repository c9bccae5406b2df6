"""Runs commands in their own processes, which are killed by SIGKILL at a chosen moment.

A *moment* is right before the process makes a change durable: before it flushes, renames or removes
a file, removes a folder, or commits to the ledger. A file that was written, but neither flushed nor renamed when the process
was killed, is truncated to half its size, as if the process had been killed while writing.
"""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

#: The exit status after Ctrl-C.
STOPPED = 130
#: What the process loads of which all others are forks.
PRELOADED = ["tests.e2e.loaded"]
#: Images in a shard of the pool: several shards, so that a killed `score` has finished some.
PART = 3


class Moments:
    """Records moments by kind; sends this process a signal before moment number `last`."""

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
        # A second name of a file that is whole is not written.
        written = written and path.stat().st_nlink == 1
        if len(self.kinds) + 1 == self.last and written:
            os.truncate(path, path.stat().st_size // 2)
        self.passed("flush")

    def renamed(self, source: object, target: object) -> None:
        if is_leftover(Path(str(target))):  # when a job shows its progress depends on the time
            return
        self.named[Path(str(target)).resolve()] = Path(str(source)).stat().st_mtime_ns
        self.passed("name")

    def removed(self, path: object, *_: object) -> None:
        if os.path.lexists(str(path)) and not is_leftover(Path(str(path))):
            self.passed("remove")

    def watched(
        self, function: Callable[..., Any], record: Callable[..., None]
    ) -> Callable[..., Any]:
        def recorded(*arguments: Any, **named: Any) -> Any:
            if "dir_fd" not in named:  # of a folder that is removed, which is one moment
                record(*arguments)
            return function(*arguments, **named)

        return recorded

    def watch(self) -> None:
        """Watch this process from now on."""
        from sqlalchemy import Engine, event

        os.fsync = self.watched(os.fsync, self.flushed)
        os.replace, os.rename = (
            self.watched(os.replace, self.renamed),
            self.watched(os.rename, self.renamed),
        )
        os.unlink = self.watched(os.unlink, self.removed)
        shutil.rmtree = self.watched(shutil.rmtree, self.removed)
        event.listen(Engine, "commit", lambda connection: self.passed("commit"))


def preloaded_context() -> ForkServerContext:
    """The context whose new processes are forks of one that has loaded the libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status and text, its moments and seconds.

    The status is None if it was killed.
    """

    code: int | None
    text: str = ""
    moments: tuple[str, ...] = ()
    seconds: float = 0


def ended(
    *words: object, die: int = 0, by: signal.Signals = signal.SIGKILL, after: float | None = None
) -> Ended:
    """Run `labelgrid WORDS` in a process that is killed or stopped before moment `die` (0: never).

    Args:
        after: kill it after so many seconds.
    """
    context = preloaded_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_command, args=([str(word) for word in words], die, by, sender)
    )
    start = time.monotonic()
    process.start()
    sender.close()
    process.join(after)
    process.kill()
    process.join()
    seconds = time.monotonic() - start
    if process.exitcode == -signal.SIGKILL and not receiver.poll():
        return Ended(None, seconds=seconds)
    try:
        return Ended(*receiver.recv(), seconds=seconds)
    except EOFError:  # killed, or it died by an exception
        return Ended(
            None if process.exitcode == -signal.SIGKILL else process.exitcode,
            "Traceback",
            seconds=seconds,
        )


def command(*words: object, die: int = 0, by: signal.Signals = signal.SIGKILL) -> list[str]:
    """Run `labelgrid WORDS`, which must succeed unless it is killed or stopped by the signal `by` before moment `die`.

    Returns:
        the kinds of its moments; empty if it was killed or stopped.
    """
    end = ended(*words, die=die, by=by)
    if end.code is None:
        return []
    if end.code == STOPPED:
        assert end.text.endswith("Run the same command to resume.\n"), end.text
        return []
    assert end.code == 0, end.text
    assert not die or len(end.moments) < die
    return list(end.moments)


def is_leftover(path: Path) -> bool:
    """A file that is being written, or one of a job's folder."""
    return (
        in_job(path)
        or path.suffix == ".partial"
        or (path.name.startswith(".") and path.suffix == ".part")
    )


def in_job(path: Path) -> bool:
    """Whether a path is, or is in, the folder in which a job shows its progress."""
    return path.name == "job" or path.parent.name == "job" or path.parent.parent.name == "jobs"


def _command(words: list[str], die: int, by: signal.Signals, sender: Any) -> None:
    import torch

    from labelgrid.executors import share
    from labelgrid.ledger import database
    from tests import new_ledgers
    from tests.e2e.commands import typed

    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background test run inherits an ignored SIGINT
    torch.set_num_threads(1)  # equal sums in every run
    share.ALONE = PART
    database.migrate = new_ledgers.migrate  # as the program does it
    moments = Moments(die, by)
    moments.watch()
    result = typed(*words)
    sender.send((result.code, result.out + result.err, tuple(moments.kinds)))
    sender.close()
