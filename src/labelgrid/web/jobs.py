"""Starts commands as jobs of a project and tells their progress; jobs outlive the server.

Each is a folder of the project's folder `jobs`.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelgridError, LedgerError, StateError, command
from labelgrid.basics.files import disk_errors, open_regular, remove_folder, write_text
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import duration
from labelgrid.executors.command_job import (
    ERROR,
    interrupt_command,
    is_in_group,
    log_tail,
    start_command,
)
from labelgrid.executors.job import END, JobFolder, JobState, JobStep
from labelgrid.web.job_orders import SENT, STAYING, Order, ReadyOrder, order_of, request_folder

#: The project's folder of jobs, and the file of one with what was started.
FOLDER = "jobs"
STARTED = "command.json"
#: What a command does, for people.
TITLES = {
    "fit": "Train",
    "score": "Score the pool",
    "query": "Request labels",
    "export": "Export the requests",
    "import": "Import",
    "audit": "Look for wrong labels",
    "report": "Write the report",
    "live": "Learn while labelling",
}
#: How many of the newest jobs are looked through for one that goes on.
LOOKED = 50
#: The states of a job that goes on.
ACTIVE = ("running", "waiting")
#: The bytes of a log that a page shows, at most, and those of `command.json`.
SHOWN = 2**15
LARGEST = 2**16


@dataclass(frozen=True)
class StartedCommand:
    """What was started: `command.json`.

    Args:
        words: the command and its arguments.
        at: when (UTC).
        again: the values of an order that does the same again; empty: none does.
    """

    words: Sequence[str] = ()
    at: str = ""
    again: Values = field(default_factory=dict)


@dataclass(frozen=True)
class ShownStep:
    """What a job does now.

    Args:
        step: the step.
        eta: the time until its end in words; empty if it is not known.
    """

    step: JobStep
    eta: str


@dataclass(frozen=True, kw_only=True)
class ShownJob:
    """A job.

    Args:
        number: the number of the job.
        command: the name of its command.
        title: what it does, for people.
        line: what one would type.
        state: how it stands.
        started: when it was started (UTC).
        ended: when it ended; empty if it has not, or if nobody knows.
        fault: why it did not end well.
        now: what it does now; None if it does not say so.
        log: the end of what it has printed.
        again: the values of an order that does the same again; empty: none does.
    """

    number: int
    command: str
    title: str
    line: str
    state: JobState
    started: str
    ended: str
    fault: str
    now: ShownStep | None
    log: str
    again: Values

    @property
    def can_go_on(self) -> bool:
        """Whether the job ended early and can be started again."""
        return bool(self.again) and self.state in ("stopped", "died", "failed", "unknown")

    @property
    def took(self) -> str:
        """The duration of the job; empty while the job goes on, or if nobody knows."""
        with suppress(ValueError):
            span = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
            return duration(span.total_seconds())
        return ""

    @property
    def is_active(self) -> bool:
        """Whether it goes on."""
        return self.state in ACTIVE

    @property
    def stays(self) -> bool:
        """Whether it goes on beside others."""
        return self.command in STAYING

    @property
    def printed(self) -> str:
        """The output of the job without the error that `fault` holds."""
        before, mark, said = self.log.rpartition(ERROR)
        if mark and said.strip() == self.fault.strip():
            return before.rstrip()
        return self.log

    @property
    def last_line(self) -> str:
        """The last printed line."""
        return next(reversed(self.log.strip().splitlines()), "")


def start(project: ProjectReader, job_order: Order | ReadyOrder) -> int:
    """Start a command as a job, and return its number.

    Raises:
        StateError: another job goes on; one that stays is no hindrance to others.
        LabelgridError: an argument is wrong, or the disk reports an error.
    """
    root = project.disk.inside(FOLDER)
    with disk_errors(root, "Nothing was started."):
        root.mkdir(exist_ok=True)
        with _locked(root):
            find = staying if job_order.command in STAYING else active
            job = find(project)
            if job and job.is_active:
                raise StateError(
                    f"Job {job.number} goes on: `{job.line}`.",
                    next_step="Wait until it ends, or stop it.",
                    unchanged="Nothing was started.",
                )
            number = max(_numbers(project), default=0) + 1
            folder = root / f"{number:04d}"
            folder.mkdir()
            try:
                project_folder = project.folder.absolute()
                words = [job_order.command, str(project_folder), *job_order.words(project, folder)]
                at = datetime.now(UTC).isoformat(timespec="seconds")
                command_file = asdict(StartedCommand(words, at, job_order.again(number)))
                write_text(folder / STARTED, json.dumps(command_file))
                start_command(folder, words)
            except BaseException:
                remove_folder(folder)
                raise
    return number


def stop(project: ProjectReader, number: int) -> ShownJob:
    """Stop a job as Ctrl-C does, and return the job, which may go on for a while.

    Raises:
        LedgerError: there is no such job.
        StateError: it has ended, or runs on another machine, or nobody knows whether it goes on.
    """
    folder = _folder(project, number)
    if not interrupt_command(folder):
        how = "has ended already."
        state = folder.state
        if state == "running":
            how = "runs on another machine."
        elif state == "unknown":
            end = folder.end
            reason = end.fault if end else "Its records cannot be read."
            how = f"may have ended, or go on elsewhere. {reason}"
        raise StateError(f"Job {number} {how}", unchanged="Nothing was stopped.")
    return shown(project, number)


def jobs(project: ProjectReader, most: int = 20) -> list[ShownJob]:
    """The newest jobs, the newest first."""
    newest = sorted(filter(partial(_is_job, project), _numbers(project)), reverse=True)
    return [shown(project, number, size=SHOWN // 8) for number in newest[:most]]


def active(project: ProjectReader) -> ShownJob | None:
    """The running job, without one that stays."""
    for number in _newest(project, stays=False):
        if _folder(project, number).state in ACTIVE:
            return shown(project, number, size=SHOWN // 8)
    return None


def staying(project: ProjectReader) -> ShownJob | None:
    """The newest job that stays beside others, running or over."""
    number = next(_newest(project, stays=True), None)
    return shown(project, number, size=SHOWN // 8) if number else None


def _newest(project: ProjectReader, *, stays: bool) -> Iterator[int]:
    """Yield the numbers of the newest jobs, of those that go on beside others or of the rest."""
    for number in sorted(_numbers(project), reverse=True)[:LOOKED]:
        if _is_job(project, number):
            words = _started(_folder(project, number)).words
            if stays == (not STAYING.isdisjoint(words[:1])):
                yield number


def shown(project: ProjectReader, number: int, *, size: int = SHOWN) -> ShownJob:
    """A job, with the last `size` bytes of its log.

    Raises:
        LedgerError: there is no such job.
    """
    folder = _folder(project, number)
    begun = _started(folder)
    end = folder.end
    state = folder.state
    name = next(iter(begun.words), "unknown")
    fault = end.fault if end else ""
    if state == "died" and not end:
        fault = "It ended without a result; the same command resumes it."
    return ShownJob(
        number=number,
        command=name,
        title=_title(project, name, begun),
        line=command(*begun.words),
        state=state,
        started=begun.at,
        ended=_ended(folder) if end else "",
        fault=_named_by_user(project, fault),
        now=_now(project, folder) if state == "running" else None,
        log=_named_by_user(project, log_tail(folder, size)),
        again=begun.again,
    )


def again(project: ProjectReader, number: int) -> int:
    """Start the command of a job again, and return the number of its new job.

    The order is checked as any: what lies in the project's folder may be anybody's.

    Raises:
        LedgerError: there is no such job.
        StateError: another job is running, or the arguments of this job are unknown.
    """
    begun = _started(_folder(project, number))
    try:
        job_order = order_of(begun.again)
    except ValidationError as error:
        raise StateError(
            f"Job {number} cannot be started again from here.",
            next_step="Start it anew, or type its command into a terminal.",
            unchanged="Nothing was started.",
        ) from error
    return start(project, job_order)


def time_span(project: ProjectReader, number: int) -> tuple[float, float] | None:
    """When a job was started and when it ended, in seconds; None while it has not ended.

    Raises:
        LedgerError: there is no such job.
    """
    folder = _folder(project, number)
    with suppress(OSError):
        began = os.lstat(folder.path / STARTED).st_mtime
        return began, os.lstat(folder.path / END).st_mtime
    return None


def elsewhere(project: ProjectReader) -> ShownStep | None:
    """The step of a fit, score or query that runs outside the page, such as in a terminal."""
    if active(project) or project.disk.job.state != "running":
        return None
    return _step(project.disk.job)


def exported_rounds(project: ProjectReader) -> list[int]:
    """The rounds with a folder of requests, whose answers can be imported."""
    numbers = [0, *(row.number for row in project.disk.store.rounds())]
    return [number for number in numbers if request_folder(project, number).is_dir()]


def _title(project: ProjectReader, name: str, begun: StartedCommand) -> str:
    """The title of a job for people; an import names its file."""
    title = TITLES.get(name, name)
    with suppress(LabelgridError, OSError, IndexError):
        path = Path(begun.words[2])
        if path.parent.name == SENT and path.is_relative_to(project.disk.inside(FOLDER)):
            return f"{title} {path.name}"
    return title


def _named_by_user(project: ProjectReader, text: str) -> str:
    """Replace the paths of sent files in a job's text by their names."""
    sent = rf"{re.escape(str(project.folder.resolve() / FOLDER))}/\d+/{SENT}/"
    return re.sub(sent, "", text)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _numbers(project: ProjectReader) -> Sequence[int]:
    root = project.disk.inside(FOLDER)
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    return [int(name) for name in names if name.isdecimal() and name.isascii()]


def _is_job(project: ProjectReader, number: int) -> bool:
    path = project.folder / FOLDER / f"{number:04d}"
    return not path.is_symlink() and (path / STARTED).is_file()


def _folder(project: ProjectReader, number: int) -> JobFolder:
    path = project.disk.inside(FOLDER) / f"{number:04d}"
    if not _is_job(project, number):
        raise LedgerError(f"The project has no job {number}.", where=str(path.parent))
    return JobFolder(path)


def _started(folder: JobFolder) -> StartedCommand:
    """The started command; an empty record if the file is damaged."""
    try:
        with open_regular(folder.path / STARTED, LARGEST, links=False) as file:
            return parse(StartedCommand, json.loads(file.read()), STARTED)
    except (OSError, LabelgridError, ValueError, RecursionError):
        return StartedCommand()


def _now(project: ProjectReader, folder: JobFolder) -> ShownStep | None:
    """The step of a running job, if the round's folder shows a step of it."""
    work = project.disk.job
    owner = work.owner
    if owner and work.state == "running" and is_in_group(owner, folder):
        return _step(work)
    return None


def _step(work: JobFolder) -> ShownStep | None:
    step = work.step
    if step is None:
        return None
    is_timed = 0 < step.done <= step.total
    eta = duration(step.seconds / step.done * (step.total - step.done)) if is_timed else ""
    return ShownStep(step, eta)


def _ended(folder: JobFolder) -> str:
    with suppress(OSError):
        moment = os.lstat(folder.path / END).st_mtime
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    return ""
