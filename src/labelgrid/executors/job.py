"""Keeps the folder of a job, from which any process can watch and stop the work.

A file `stop` in the folder asks the work to end at the next report of progress. The job updates a
heartbeat every half minute, which tells other machines that it is alive.
"""

import json
import os
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import atomic_write, open_regular, remove_folder
from labelgrid.basics.processes import started_at
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import duration

T = TypeVar("T")
JobState = Literal["waiting", "running", "ended", "stopped", "failed", "died", "unknown"]
#: The files of a job's folder.
OWNER = "pid"
STEP = "progress.json"
LOG = "log.txt"
STOP = "stop"
END = "end.json"
#: The time before each message in the log; other lines are of tracebacks.
MESSAGE = re.compile(r"\d\d:\d\d:\d\d ")
#: Seconds between two writes of a step's progress.
EVERY = 0.3
#: Seconds between two signs of life, and those after which a job of another machine may be over.
SIGN_EVERY = 30.0
SILENT_AFTER = 600.0
#: Bytes of a record, at most, and of a log that are read at once.
LARGEST = 1 << 16
PART = 1 << 20
#: Parts of torch's messages about a killed data worker or full memory, which another try may avoid;
#: torch raises a RuntimeError for all sorts of errors.
TRANSIENT = ("killed by signal", "exited unexpectedly", "out of memory", "allocate memory")
#: The errors of a record that cannot be read.
UNREADABLE = (OSError, LabelgridError, ValueError, RecursionError)


@dataclass(frozen=True)
class JobOwner:
    """The process that does a job, as `pid` in the job's folder.

    Args:
        pid: its number.
        start: when the system started it, since numbers are used again; see `started_at`.
        host: the name of its machine.
    """

    pid: int
    start: str
    host: str

    @classmethod
    def current(cls) -> "JobOwner":
        """Describe the running process."""
        return cls(os.getpid(), started_at(os.getpid()) or "", socket.gethostname())

    @property
    def is_here(self) -> bool:
        """Whether the process runs on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended; of another machine that is not known."""
        return self.is_here and started_at(self.pid) != self.start


@dataclass(frozen=True, kw_only=True)
class JobStep:
    """The step that a job is at, as `progress.json` in the job's folder.

    Args:
        what: the step.
        done: its finished units.
        total: all its units.
        unit: their name.
        note: the newest note.
        seconds: since the step began.
    """

    what: str
    done: int = 0
    total: int
    unit: str
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class JobEnd:
    """The end of a job, as `end.json` in the job's folder.

    Args:
        state: `died` is a process that ended without saying how; `unknown` one of another machine
            that gives no sign any more.
        fault: why it did not end well.
        again: whether another try may avoid the fault.
    """

    state: Literal["ended", "stopped", "failed", "died", "unknown"]
    fault: str = ""
    again: bool = False


#: The end of a job that was asked to stop, or whose process was.
STOPPED = JobEnd("stopped", "It was stopped before its end; the same command resumes it.")


@dataclass(frozen=True)
class JobFolder:
    """The folder of a job, written by the job's process and read by others.

    If the disk refuses a file, the work goes on; foreign files in the folder stop no reader. Links
    in it are not followed.
    """

    path: Path

    def clear(self) -> None:
        """Prepare the folder for a new job; other files in the folder stay."""
        with suppress(OSError):
            if self.path.is_symlink() or not self.path.is_dir():
                self.path.unlink(missing_ok=True)
            self.path.mkdir(parents=True, exist_ok=True)
        self._remove((OWNER, STEP, END, LOG, STOP))

    def renew(self) -> None:
        """Prepare another try: the log stays, and so does a wish to stop."""
        self._remove((OWNER, STEP, END))

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            path = self.path / name
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    remove_folder(path)
                else:
                    path.unlink(missing_ok=True)

    def write(self, name: str, record: JobOwner | JobStep | JobEnd) -> None:
        """Replace a record atomically."""
        values = {key: _as_text(value) for key, value in asdict(record).items()}
        with suppress(OSError), atomic_write(self.path / name) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")

    def log(self, text: str, start: str = "") -> None:
        """Append lines to the log, each after `start`, in one write."""
        lines = "".join(f"{start}{line}\n" for line in text.split("\n"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        with suppress(OSError):
            handle = os.open(self.path / LOG, flags, 0o666)
            with os.fdopen(handle, "wb", buffering=0) as file:
                file.write(_as_text(lines).encode())

    def log_message(self, text: str) -> None:
        """Append a line with a message and its time."""
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        self.log(f"{time.strftime('%H:%M:%S')} {escaped}")

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether somebody made the file `stop`."""
        return os.path.lexists(self.path / STOP)

    @property
    def state(self) -> JobState:
        """How the job stands; `unknown` if the folder holds something else, or see `JobEnd`."""
        try:
            owner = self._read(OWNER, JobOwner)
            end = self._read_end(owner)
            if owner and not end and owner.is_gone:  # it may have ended since
                end = self._read_end(owner) or JobEnd("died")
        except UNREADABLE:
            return "unknown"
        if end:
            return end.state
        if owner:
            return "running"
        return "waiting"

    @property
    def owner(self) -> JobOwner | None:
        """The process that does the job; None if there is none, or if the file cannot be read."""
        with suppress(*UNREADABLE):
            return self._read(OWNER, JobOwner)
        return None

    @property
    def end(self) -> JobEnd | None:
        """The end of the job; None while the job goes on, or if no end can be read."""
        with suppress(*UNREADABLE):
            return self._read_end(self._read(OWNER, JobOwner))
        return None

    def _read_end(self, owner: JobOwner | None) -> JobEnd | None:
        end = self._read(END, JobEnd)
        if end or owner is None or owner.is_here:
            return end
        signs = [0.0]
        for name in (OWNER, STEP, LOG):
            with suppress(OSError):
                signs.append(os.lstat(self.path / name).st_mtime)
        seconds = time.time() - max(signs)
        if seconds < SILENT_AFTER:
            return None
        fault = (
            f"No sign for {duration(seconds)} on {owner.host}. If nothing runs there any more, the "
            "same command resumes it."
        )
        return JobEnd("unknown", fault, again=True)

    def give_sign(self) -> None:
        """Say that the job goes on."""
        with suppress(OSError):
            os.utime(self.path / OWNER, follow_symlinks=False)

    @property
    def step(self) -> JobStep | None:
        """The step of the job; None if there is none, or if the file cannot be read."""
        with suppress(*UNREADABLE):
            return self._read(STEP, JobStep)
        return None

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            with open_regular(self._inside(name), LARGEST, links=False) as file:
                values = json.loads(file.read(LARGEST))
        except FileNotFoundError:
            return None
        if not isinstance(values, dict):
            raise ValueError("a table was expected")
        return parse(kind, values, name)

    def _inside(self, name: str) -> Path:
        if self.path.is_symlink():
            raise OSError(f"{self.path} is a link")
        return self.path / name


def without_numbers(text: str) -> str:
    """A message without numbers, by which repeated messages are found.

    Example:
        >>> without_numbers("3 of 16 images are left out.")
        ' of  images are left out.'
    """
    return re.sub(r"\d+", "", text)


@dataclass
class JobReader:
    """Reads from a job's folder what is new since the last call."""

    folder: JobFolder
    _seen: tuple[int, int] = field(init=False, default=(0, 0))
    _place: int = field(init=False, default=0)

    def new_step(self) -> JobStep | None:
        """The step of the job, if the record changed since the last call."""
        try:
            status = os.lstat(self.folder.path / STEP)
        except OSError:
            return None
        seen = (status.st_ino, status.st_mtime_ns)
        if seen == self._seen:
            return None
        self._seen = seen
        return self.folder.step

    def new_messages(self) -> list[str]:
        """The messages that the job has logged since the last call."""
        path = self.folder.path / LOG
        try:
            if os.lstat(path).st_size <= self._place:
                return []
            with open_regular(self.folder._inside(LOG), links=False) as file:
                file.seek(self._place)
                part = file.read(PART)
        except OSError:
            return []
        whole = part.rfind(b"\n") + 1 or (len(part) if len(part) == PART else 0)
        self._place += whole
        lines = part[:whole].decode(errors="replace").split("\n")
        return [_message(line) for line in lines if MESSAGE.match(line)]


def _message(line: str) -> str:
    text = line.partition(" ")[2]  # without the time
    return "\\".join(part.replace("\\n", "\n") for part in text.split("\\\\"))


def _as_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.encode(errors="backslashreplace").decode()  # surrogates stand for no text


class JobProgress:
    """Progress that is shown in a job's folder and passed on.

    Every report raises a `KeyboardInterrupt`, as Ctrl-C does, if somebody asked the job to stop.

    Args:
        folder: the folder of the job.
        beside: another progress that is reported to.
    """

    def __init__(self, folder: JobFolder, beside: Progress) -> None:
        self.folder = folder
        self.beside = beside
        self.is_begun = False
        self.early: list[str] = []
        self.done = 0
        self.values: dict[str, Any] = {"what": "", "total": 0, "unit": ""}
        self.since = 0.0
        self.written = 0.0

    def begin(self) -> None:
        """Name this process in the folder as the owner of the job."""
        self.is_begun = True
        self.folder.write(OWNER, JobOwner.current())
        for text in self.early:
            self.folder.log_message(text)

    def start(self, step: str, total: int, unit: str) -> None:
        """Start a step, as `Progress.start`; the first step clears the folder."""
        self.beside.start(step, total, unit)
        if not self.is_begun:
            self.folder.clear()
            self.begin()
        self.done = 0
        self.values = {"what": step, "total": total, "unit": unit}
        self.since = time.monotonic()
        self._write("")
        self._check_stop()

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count units, as `Progress.advance`; written a few times a second and at a step's end."""
        self.beside.advance(amount, note)
        self.done += amount
        is_end = self.done == self.values["total"]
        if is_end or time.monotonic() - self.written > EVERY:
            self._write(note)
        self._check_stop()

    def say(self, text: str) -> None:
        """Tell a message, as `Progress.say`."""
        self.beside.say(text)
        if self.is_begun:
            self.folder.log_message(text)
            self._check_stop()
        else:
            self.early.append(text)

    def give_sign(self) -> None:
        """Touch the folder of a job that has begun, as a sign of life."""
        if self.is_begun:
            self.folder.give_sign()

    def _write(self, note: str) -> None:
        self.written = time.monotonic()
        seconds = round(self.written - self.since, 1)
        step = JobStep(**self.values, done=self.done, note=note, seconds=seconds)
        self.folder.write(STEP, step)

    def _check_stop(self) -> None:
        if self.folder.is_asked_to_stop:
            self.beside.say(f"The file {self.folder.path / STOP} asks to stop.")
            raise KeyboardInterrupt

    def end(self, end: JobEnd) -> None:
        """Write the end of the job, if the job has begun."""
        if self.is_begun:
            self.folder.write(END, end)


@contextmanager
def signs_of_life(give: Callable[[], None]) -> Iterator[None]:
    """Call `give`, which gives a job's sign of life, now and then while the block runs."""
    over = threading.Event()

    def give_signs() -> None:
        while not over.wait(SIGN_EVERY):
            give()

    threading.Thread(target=give_signs, daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def record_job(path: Path, progress: Progress) -> Iterator[JobProgress]:
    """Show the block's work and end in a folder; yield the progress.

    Before the first step that is reported, nothing is written: a call that is refused leaves
    nothing. `JobProgress.begin` begins sooner, in a folder that was prepared.

    Args:
        path: the job's folder.
        progress: another progress that is reported to.

    Raises:
        KeyboardInterrupt: somebody made the file `stop`.
    """
    job = JobProgress(JobFolder(path), progress)
    try:
        with signs_of_life(job.give_sign):
            yield job
    except (Exception, KeyboardInterrupt) as error:
        is_told = isinstance(error, LabelgridError | KeyboardInterrupt)
        if job.is_begun and not is_told:  # a killed data worker, no memory left, a bug
            job.folder.log(traceback.format_exc().rstrip(), start="\t")
        job.end(end_by(error, path))
        raise
    job.end(JobEnd("ended"))


def end_by(error: BaseException | None, path: Path) -> JobEnd:
    """The end of a job that an error stopped.

    Args:
        error: the error.
        path: the job's folder.
    """
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, LabelgridError):
        return JobEnd("failed", str(error))
    fault = f"{type(error).__name__}: {error} (see {path / LOG})."
    return JobEnd("failed", fault, isinstance(error, Exception) and is_transient(error))


def is_transient(error: Exception) -> bool:
    """Whether another try may avoid an error, since the machine failed and not the code.

    Example:
        >>> is_transient(MemoryError()), is_transient(NameError("name 'x' is not defined"))
        (True, False)
    """
    of_torch = isinstance(error, RuntimeError) and any(part in str(error) for part in TRANSIENT)
    return of_torch or isinstance(error, OSError | MemoryError)
