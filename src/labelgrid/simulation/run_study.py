"""Runs a study in one call: validates it, starts or resumes its runs, and writes their records."""

import fcntl
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from labelgrid import __version__, files
from labelgrid.config import as_toml
from labelgrid.errors import ProjectError
from labelgrid.files import remove_folder, write_text
from labelgrid.progress import Progress, Silent
from labelgrid.recipes.resolve import load_recipe
from labelgrid.simulation import results
from labelgrid.simulation.jobs import Job, jobs_of
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.resume_check import check_same, extra_runs_note, widen_request
from labelgrid.simulation.run_records import RECORDS
from labelgrid.simulation.runner import JobStatus, Runner, work_left
from labelgrid.simulation.runs import Run, has_work
from labelgrid.simulation.study import ENDINGS, KEPT, LOCK, notes_of, versions_of
from labelgrid.simulation.validate import check_weights, digest_images, validate_study

#: The recipe that the runs read, in the study's folder.
FROZEN = "recipe.toml"
#: The report's note if some runs have no folder.
FROM_RECORDS = (
    f"Some runs were not run here: their results are from {RECORDS}, maybe of another machine."
)


class StudyProgress(Progress, Protocol):
    """Progress of a study: reading its images, then all its runs."""

    def show(self, statuses: Mapping[str, JobStatus]) -> None:
        """The status of each run, by key; called a few times a second."""


class SilentStudy(Silent):
    """Shows nothing."""

    def show(self, statuses: Mapping[str, JobStatus]) -> None:
        """As `StudyProgress.show`."""


@dataclass(frozen=True)
class StudyResult:
    """The result of a study's runs.

    Args:
        out: the folder of all runs; its `outcomes.csv` and `outcomes.parquet` hold the records.
        runs: the status of each run, by key.
    """

    out: Path
    runs: Mapping[str, JobStatus]

    @property
    def failed(self) -> dict[str, str]:
        """Key of each failed run -> the reason."""
        return {key: status.fault for key, status in self.runs.items() if status.state == "failed"}

    def outcomes(self) -> list[results.Outcome]:
        """Read all records."""
        return results.read_outcomes(self.out)


def run_study(request: StudyRequest, progress: StudyProgress | None = None) -> StudyResult:
    """Execute all runs of a study that are not done, then write the records of all runs.

    An existing folder of the same study is resumed, with its strategies, seeds, rounds and `full`.
    A failed run does not stop the others; see `StudyResult.failed`.

    Raises:
        LabelgridError: the study is refused (a name is unknown, a value wrong, an image unreadable,
            the folder holds another study), or another process works on the same folder. Nothing
            was run.
    """
    progress = progress or SilentStudy()
    asked = request
    request = widen_request(request)
    if said := extra_runs_note(asked, request):
        progress.say(said)
    runs = validate_study(request)
    check_weights(
        request, [job.run for job in jobs_of(request, runs).values() if work_left(job).steps]
    )
    images = digest_images(request.study, request.root, request.previous() or {}, progress)
    with _locked(request.out):
        check_same(request, runs)  # another process may have run some since
        jobs = _jobs(request, runs)
        with files.disk_errors(request.out):
            (request.out / ENDINGS).unlink(missing_ok=True)  # it may not match the new request
        kept = request.to_json() | {"pictures": images} | _history(request, jobs)
        write_text(request.out / KEPT, json.dumps(kept, indent=1) + "\n")
        _freeze(request)
        _remove_unstarted(request.out)
        try:
            statuses = Runner(jobs, request.at_once, progress.show, progress.say).run()
        finally:  # a stopped call writes the records so far, too
            records = (
                job.records or results.outcomes_of(job.run, job.folder) for job in jobs.values()
            )
            results.write_outcomes(itertools.chain.from_iterable(records), request.out)
        endings = {key: asdict(status) for key, status in statuses.items()}
        write_text(request.out / ENDINGS, json.dumps(endings, indent=1) + "\n")
    return StudyResult(request.out, statuses)


def _history(request: StudyRequest, jobs: Mapping[str, Job]) -> dict[str, Any]:
    """The versions and notes for the report: those of earlier calls, and a note if code or versions have changed.

    If no run is left, versions and digests of code stay those of the code that made the runs.
    """
    previous = request.previous() or {}
    other = request.changed_code()
    now = {"labelgrid": __version__, "torch": version("torch")}
    notes = notes_of(previous)
    before = versions_of(previous)
    if any(job.records for job in jobs.values()) and FROM_RECORDS not in notes:
        notes.append(FROM_RECORDS)
    if previous and all(job.is_done for job in jobs.values()):
        history = {key: previous[key] for key in ("code", "versions") if key in previous}
        return history | ({"notes": notes} if notes else {})
    updated = [
        f"{name} {new} instead of {before[name]}"
        for name, new in now.items()
        if before.get(name, new) != new
    ]
    if previous and not before:
        updated = [
            f"{name} {new}, and those of earlier runs are unknown" for name, new in now.items()
        ]
    if other:
        updated.append(f"other code of {', '.join(other)} than earlier runs")
    notes += [
        f"Runs were started or resumed on {datetime.now(UTC).date()} with {change}."
        for change in updated
    ]
    return {"versions": now} | ({"notes": notes} if notes else {})


def _jobs(request: StudyRequest, runs: Sequence[Run]) -> dict[str, Job]:
    """The jobs of the runs; they read the frozen recipe."""
    jobs = jobs_of(request, runs)
    return {
        key: replace(job, settings=replace(job.settings, recipe=f"../../{FROZEN}"))
        for key, job in jobs.items()
    }


def _freeze(request: StudyRequest) -> None:
    """Write the complete recipe into the study's folder, so that later edits of the recipe's file change no run."""
    tables = json.loads(load_recipe(request.recipe).json())
    header = "# The recipe of all runs here; written by `labelgrid simulate`.\n"
    write_text(
        request.out / FROZEN,
        header + "".join(f"{key} = {as_toml(table)}\n" for key, table in tables.items()),
    )


def _remove_unstarted(out: Path) -> None:
    """Remove incomplete projects of killed runs, and those that trained nothing: their settings may have changed."""
    for folder in (out / "runs").glob("*/"):
        if folder.name.endswith(".partial") or not has_work(folder):
            remove_folder(folder)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the study's lock."""
    with files.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProjectError(
                "Another process is working on these runs.",
                where=str(out),
                next_step="Wait for it, or stop it.",
                unchanged="Nothing was run.",
            ) from error
        yield
