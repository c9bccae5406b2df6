"""Says to which tools requests can be exported from the page, and names the exports."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from labelgrid.api.reader import ProjectReader
from labelgrid.basics import plugins
from labelgrid.basics.type_names import Values
from labelgrid.ledger.grid import State
from labelgrid.web import jobs
from labelgrid.web.job_orders import REQUEST, request_folder

#: The file of a project's report.
REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class ExportedFolder:
    """A folder of requests that can be downloaded.

    Args:
        address: the address of the download.
        name: the name of its content, for people.
        at: when it was written (UTC).
    """

    address: str
    name: str
    at: str


def export_choice(project: ProjectReader) -> Values:
    """The names of the labelling tools and tasks that a form of an export offers."""
    return {"tools": sending_tools(), "tasks": list(project.tasks)}


@cache
def sending_tools() -> tuple[str, ...]:
    """The connectors that requests can be sent to, `folder` first."""
    names = plugins.names("tools")
    sending = [name for name in names if hasattr(plugins.create("tools", name), "send")]
    return tuple(sorted(sending, key=lambda name: (name != "folder", name)))


def export_folder(project: ProjectReader, kind: str, number: int) -> Path | None:
    """The folder that an export wrote, in the project; None if there is none.

    Args:
        project: the project.
        kind: "round": of a round's requests; "job": of an export for a tool.
        number: the number of the round or the job.

    Raises:
        ProjectError: it leads out of the project.
    """
    if kind == "round":
        folder = request_folder(project, number)
    else:
        folder = project.disk.inside(f"{jobs.FOLDER}/{number:04d}/{REQUEST}")
    if not folder.is_dir():
        return None
    return folder


def exported_by(project: ProjectReader, job: jobs.ShownJob) -> list[ExportedFolder]:
    """The folders that a job exported; empty without an export."""
    if not _has_exported(job):
        return []
    job_folder = export_folder(project, "job", job.number)
    if job_folder:
        return [_exported("job", job.number, job_folder, "the requests")]
    return [folder for folder in exported_rounds(project) if folder.at >= job.started]


def exported_rounds(project: ProjectReader) -> list[ExportedFolder]:
    """The folders of requests of all rounds, the newest round first."""
    folders = []
    for number in reversed(jobs.exported_rounds(project)):
        name = f"the requests of round {number}" if number else "the held-out requests"
        folders.append(_exported("round", number, request_folder(project, number), name))
    return folders


def current_exports(project: ProjectReader) -> Sequence[ExportedFolder]:
    """The folders that were exported after the last request was made: answers come next."""
    requested = project.disk.store.last_time(State.REQUESTED)
    if not requested:
        return []
    since = datetime.fromisoformat(requested).isoformat(timespec="seconds")
    newest = next(filter(_has_exported, jobs.jobs(project)), None)
    if newest and newest.started >= since:
        return exported_by(project, newest)
    return [folder for folder in exported_rounds(project) if folder.at >= since]


def _has_exported(job: jobs.ShownJob) -> bool:
    return job.command == "export" and job.state == "ended"


def reported_at(project: ProjectReader) -> str:
    """When the project's report was written (UTC); empty: there is none."""
    path = project.folder / REPORT
    if path.is_file() and not path.is_symlink():
        return _changed_at(path)
    return ""


def _changed_at(path: Path) -> str:
    with suppress(OSError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return ""


def _exported(kind: str, number: int, folder: Path, name: str) -> ExportedFolder:
    address = f"/download/{kind}/{number}"
    return ExportedFolder(address=address, name=name, at=_changed_at(folder))
