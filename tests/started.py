"""Starts processes that a test watches or kills: none of them outlives its block, and a wait in vain tells what they printed."""

import os
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

#: The last characters of what a process printed.
TAIL = 6000
#: Seconds in which processes print where they stand.
ABORT = 20
#: The seconds that the processes it has started may take for the same.
OTHERS = 0.5


class Started(subprocess.Popen[str]):
    """A process, which is killed at the end of its block with all that it has started.

    Its stderr is a file: it never waits for a reader, and what it printed can be read at any time.

    Args:
        words: the program and its arguments.
        env: its environment; None: this one.
        cwd: its folder.
        stdin: what `subprocess` takes.
        stdout: what `subprocess` takes.
    """

    def __init__(
        self,
        *words: object,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int | None = None,
        stdout: int = subprocess.PIPE,
    ) -> None:
        self.complained = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        super().__init__(
            [*map(str, words)],
            stdin=stdin,
            stdout=stdout,
            stderr=self.complained,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,
            cwd=cwd,
            env={**(os.environ if env is None else env), "PYTHONFAULTHANDLER": "1"},
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.signal_all(signal.SIGKILL)
        super().__exit__(kind, value, traceback)
        self.complained.close()

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    @property
    def complaints(self) -> str:
        """What it has printed to stderr until now."""
        size = os.fstat(self.complained.fileno()).st_size
        return os.pread(self.complained.fileno(), size, 0).decode(errors="replace")

    def next_line(self) -> str:
        """The next line that it prints.

        Raises:
            AssertionError: it has ended.
        """
        assert self.stdout
        line = self.stdout.readline()
        assert line, self.last_words()
        return line

    def has_ended(self) -> bool:
        """Whether it makes nothing any more."""
        return self.poll() is not None

    def last_words(self) -> str:
        """How it ended and what it printed; one that still runs is ended, and says where it stood."""
        with ExitStack() as stack:
            files = [stack.enter_context(file) for file in _errors_of(self.pid)]
            code = self.poll()
            # One after the other: what two of them print at once to one place is mixed up.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGABRT)
            with suppress(subprocess.TimeoutExpired):
                self.wait(ABORT)
            self.signal_all(signal.SIGABRT)
            time.sleep(OTHERS)
            self.signal_all(signal.SIGKILL)
            printed = self.stdout.read() if self.stdout else ""
            others = [file.read().decode(errors="replace") for file in files]
        state = "still runs" if code is None else f"ended with code {code}"
        return "\n".join(
            [f"It {state}.", *(text[-TAIL:] for text in (printed, *others, self.complaints))]
        )


def _heed_ctrl_c() -> None:
    """Undo what a shell does to all that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _errors_of(group: int) -> list[IO[bytes]]:
    """The files to which the processes of a group, but the first, print what goes wrong."""
    files: list[IO[bytes]] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            errors = folder / "fd" / "2"
            if int(fields[2]) == group != int(folder.name) and errors.is_file():
                files.append(errors.open("rb"))
    return files
