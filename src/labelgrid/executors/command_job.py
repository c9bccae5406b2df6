"""Runs a command as a job, independent of its starter.

The command and a watching process form a process group of their own; the watching process waits for
the command's end, and writes the end into the job's folder. What the command prints is the job's
log.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from labelgrid.basics.files import open_regular
from labelgrid.basics.processes import end_with_parent, given_environment, started_at
from labelgrid.executors.job import (
    END,
    LOG,
    OWNER,
    PART,
    STOPPED,
    JobEnd,
    JobFolder,
    JobOwner,
    signs_of_life,
)

#: Exit codes after Ctrl-C: of labelgrid, and of a process that did not catch it.
INTERRUPTED = (130, -signal.SIGINT)
#: How the error begins that a command prints last.
ERROR = "Error: "
#: Variables that make commands print colours into files.
COLOURS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def start_command(path: Path, words: Sequence[str]) -> None:
    """Start `python -m labelgrid WORD ...` as a job.

    Args:
        path: the job's folder; it exists and holds no job.
        words: the command and its arguments.

    Raises:
        OSError: the system starts no process, or the disk refuses its log.
    """
    environment = given_environment()
    for name in COLOURS:
        environment.pop(name, None)
    # The process gets SIGINT only when `main` unblocks it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with (path / LOG).open("xb") as log:
            process = subprocess.Popen(
                [*python_words(), "-m", __name__, str(path), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    start = started_at(process.pid) or ""
    JobFolder(path).write(OWNER, JobOwner(process.pid, start, JobOwner.current().host))
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie


def interrupt_command(folder: JobFolder) -> bool:
    """Stop a job's command as Ctrl-C does; False if it does not run on this machine.

    Only the process group is asked that `start_command` made.
    """
    owner = folder.owner
    if folder.end or owner is None or not owner.is_here or owner.is_gone:
        return False
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(owner.pid) == owner.pid:
            os.killpg(owner.pid, signal.SIGINT)
            return True
    return False


def is_in_group(owner: JobOwner, folder: JobFolder) -> bool:
    """Whether a process belongs to the command of a job."""
    leader = folder.owner
    if leader is None or not owner.is_here or owner.is_gone:
        return False
    try:
        return os.getpgid(owner.pid) == leader.pid
    except OSError:
        return False


def log_tail(folder: JobFolder, size: int = PART) -> str:
    """Return the end of the output of a job's command; empty if the log cannot be read."""
    try:
        with open_regular(folder.path / LOG, links=False) as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            tail = file.read(size).decode(errors="replace")
    except OSError:
        return ""
    if length <= size:
        return tail
    return tail.partition("\n")[2]


def python_words() -> list[str]:
    """The words that start Python with the same module path.

    With -m alone it would also look into the current folder.
    """
    is_searched = {"", str(Path.cwd())} & set(sys.path)
    if is_searched:
        return [sys.executable]
    return [sys.executable, "-P"]


def _end(code: int, folder: JobFolder, is_asked: bool) -> JobEnd:
    if code == 0:
        return JobEnd("ended")
    # A Python that is asked to stop while it begins ends with code 1 and a traceback.
    if code in INTERRUPTED or (is_asked and KeyboardInterrupt.__name__ in log_tail(folder)):
        return STOPPED
    if code < 0:
        return JobEnd("died", f"It ended without a result: signal {-code}.", again=True)
    _, mark, said = log_tail(folder).rpartition(ERROR)
    return JobEnd("failed", said.strip() if mark else f"It ended with code {code}.")


def main() -> None:
    """Run a command, wait for its end, and write the end into the job's folder.

    The command gets SIGINT as this process does, and ends by it. One that comes before the command
    can get it is sent again.
    """
    asked: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    folder = JobFolder(Path(sys.argv[1]))
    folder.write(OWNER, JobOwner.current())
    words = [*python_words(), "-m", "labelgrid", *sys.argv[2:]]
    command = subprocess.Popen(words, preexec_fn=end_with_parent)
    if asked:
        command.send_signal(signal.SIGINT)
    with signs_of_life(folder.give_sign):
        code = command.wait()
    folder.write(END, _end(code, folder, bool(asked)))


if __name__ == "__main__":
    main()
