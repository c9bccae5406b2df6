"""Runs a study in one call: checks, starts or resumes the runs, and writes the records."""

import fcntl
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from labelgrid.basics import files
from labelgrid.basics.config import as_toml
from labelgrid.basics.errors import ProjectError, note_unchanged
from labelgrid.basics.files import remove_folder, write_text
from labelgrid.basics.progress import Silent, StudyProgress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.version import __version__
from labelgrid.executors.share import EVERYTHING, Share
from labelgrid.executors.workplace import executor_at
from labelgrid.lab.simulation import study_results
from labelgrid.lab.simulation.other_shares import OtherShares
from labelgrid.lab.simulation.plugin_code import changed_plugins
from labelgrid.lab.simulation.resume_check import check_same
from labelgrid.lab.simulation.run_jobs import Jobs
from labelgrid.lab.simulation.runner import PRELOADED, Runner, Statuses
from labelgrid.lab.simulation.runs import has_work
from labelgrid.lab.simulation.study_plan import StudyPlan, plan_study
from labelgrid.lab.simulation.study_recipe import (
    ENDINGS,
    KEPT,
    LOCK,
    SHARES_LOCK,
    earlier_values,
    notes_of,
    texts_of,
)
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_results import RECORDS
from labelgrid.lab.simulation.validate import check_networks, digest_images
from labelgrid.project.folder import SETTINGS
from labelgrid.project.settings import settings_text

#: The recipe that the runs read, in the study's folder.
FROZEN = "recipe.toml"
#: The report's note if some runs have no folder.
FROM_RECORDS = (
    f"Some runs were not run here: their results are from {RECORDS}, maybe of another machine."
)


class SilentStudy(Silent):
    """Shows nothing."""

    def show(self, statuses: Statuses) -> None:
        """As `StudyProgress.show`."""


@dataclass(frozen=True)
class StudyResult:
    """The result of a study's runs.

    Args:
        out: the folder of all runs. Its `outcomes.csv` and `outcomes.parquet` hold the records.
        runs: the status of each run, by key.
        share: the runs that were executed by this call.
    """

    out: Path
    runs: Statuses
    share: Share = EVERYTHING

    @property
    def failed(self) -> dict[str, str]:
        """Key of each failed run -> the reason."""
        faults = {}
        for key, status in self.runs.items():
            if status.state == "failed":
                faults[key] = status.fault
        return faults

    @property
    def stopped(self) -> list[str]:
        """Keys of the stopped runs and of all runs that continue a stopped run."""
        stopped_keys = []
        for key, status in self.runs.items():
            if status.state == "stopped":
                stopped_keys.append(key)
        return stopped_keys

    @property
    def left(self) -> list[str]:
        """Keys of the unfinished runs, and of all runs that continue an unfinished run."""
        left_keys = []
        for key, status in self.runs.items():
            if status.state in ("waiting", "running"):
                left_keys.append(key)
        return left_keys

    def outcomes(self) -> list[study_results.Outcome]:
        """Read all records."""
        return study_results.read_outcomes(self.out)


def run_study(request: StudyRequest, progress: StudyProgress | None = None) -> StudyResult:
    """Execute all runs of a study that are not done, then write the records of all runs.

    An existing folder of the same study is resumed, with its strategies, seeds, rounds and `full`.
    A run that fails or is stopped does not stop the others; see `StudyResult`.

    Raises:
        LabelgridError: the study is refused (a name is unknown, a value wrong, an image unreadable,
            the folder holds another study), or another process works on the same folder. Nothing
            was run.
    """
    progress = progress or SilentStudy()
    executor = executor_at(request.on, request.jobs, PRELOADED)
    share = executor.share
    plan = plan_study(request)
    if plan.missing:
        raise plan.missing
    with note_unchanged("Nothing was run."):
        check_networks(request.recipe, request.study, plan.unfinished)
    if plan.note:
        progress.say(plan.note)
    if plan.runs:
        progress.say(plan.work)
    jobs = {}
    for key, job in plan.jobs.items():
        jobs[key] = replace(job, settings=replace(job.settings, recipe=f"../../{FROZEN}"))
    with locked_study(plan.request.out, share) as lock:
        with note_unchanged("Nothing was run."):
            earlier = earlier_values(plan.request.out) or {}
            images = digest_images(plan.request.study, plan.request.root, earlier, progress)
        with lock.alone():
            _prepare(plan, jobs, images, share)
        try:
            runner = Runner(jobs=jobs, show=progress.show, say=progress.say, executor=executor)
            statuses = runner.run()
        finally:  # a stopped call writes the records so far, too
            with lock.alone():
                study_results.write_outcomes(_outcomes(jobs), plan.request.out)
        if share.is_all:
            endings = {key: asdict(status) for key, status in statuses.items()}
            write_text(plan.request.out / ENDINGS, json.dumps(endings, indent=1) + "\n")
    return StudyResult(plan.request.out, statuses, share)


def _prepare(plan: StudyPlan, jobs: Jobs, images: str, share: Share) -> None:
    """Write the files of the runs, and remove the rest of runs that trained nothing.

    Raises:
        LabelgridError: the study is refused, since another process has run some of its runs since
            they were planned.
    """
    out = plan.request.out
    earlier = earlier_values(out) or {}
    with note_unchanged("Nothing was run."):
        values = check_same(plan.request, list(plan.planned.values()), plan.identities, images)
    values |= {"pictures": images} | _history(earlier, values, jobs)
    if plan.supplied:
        values["supplied"] = dict(plan.supplied)
    with files.disk_errors(out):
        (out / ENDINGS).unlink(missing_ok=True)  # it may not match the new request
    write_text(out / KEPT, json.dumps(values, indent=1) + "\n")
    # The complete recipe: later edits of its file change no run.
    lines = ["# The recipe of all runs here; written by `labelgrid simulate`.\n"]
    lines += [f"{key} = {as_toml(table)}\n" for key, table in values["recipe"].items()]
    write_text(out / FROZEN, "".join(lines))
    others = OtherShares(jobs=jobs, share=share)
    mine = {key: job for key, job in jobs.items() if key not in others}
    _remove_unstarted(out, None if share.is_all else mine)
    _renew_settings(mine)


def _outcomes(jobs: Jobs) -> Iterator[study_results.Outcome]:
    for job in jobs.values():
        yield from job.records or study_results.outcomes_of(job.run, job.folder)


def _history(earlier: Values, values: Values, jobs: Jobs) -> Json:
    """Return the versions and notes of earlier calls and this call, for the report.

    If no run is left, versions and digests of code stay those of the code that made the runs.
    `earlier` and `values` are the earlier and the new `study.json`.
    """
    notes = notes_of(earlier)
    history = {}
    if any(job.records for job in jobs.values()) and FROM_RECORDS not in notes:
        notes.append(FROM_RECORDS)
    if earlier and all(job.is_done for job in jobs.values()):
        history = {key: earlier[key] for key in ("code", "versions") if key in earlier}
    else:
        versions = {"labelgrid": __version__, "torch": version("torch")}
        history = {"versions": versions}
        changed = changed_plugins(texts_of(earlier, "code"), texts_of(values, "code"))
        notes += _change_notes(earlier, versions, changed)
    if notes:
        history["notes"] = notes
    return history


def _change_notes(
    earlier: Values, versions: Mapping[str, str], changed: Sequence[str]
) -> list[str]:
    before = texts_of(earlier, "versions")
    changes = []
    for name, now in versions.items():
        if earlier and not before:
            changes.append(f"{name} {now}, and those of earlier runs are unknown")
        elif before.get(name, now) != now:
            changes.append(f"{name} {now} instead of {before[name]}")
    if changed:
        changes.append(f"other code of {', '.join(changed)} than earlier runs")
    today = datetime.now(UTC).date()
    return [f"Runs were started or resumed on {today} with {change}." for change in changes]


def _remove_unstarted(out: Path, keys: Collection[str] | None) -> None:
    """Remove incomplete projects of killed runs, and projects that trained nothing.

    Settings of these may have changed. `keys` are of the runs that no other process may be working
    on; None: all of the folder, also runs that the study no longer has.
    """
    for folder in (out / "runs").glob("*/"):
        is_rest = folder.name.endswith(".partial")
        is_mine = keys is None or folder.name in keys
        if is_mine and (is_rest or not has_work(folder)):
            remove_folder(folder)


def _renew_settings(jobs: Jobs) -> None:
    """Give resumed runs the settings of this request.

    Their identity is the same, but a value may have moved from the recipe to an arm, or a file of
    weights to another folder.
    """
    for job in jobs.values():
        path = job.folder / SETTINGS
        text = settings_text(job.settings)
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            write_text(path, text)


@dataclass(frozen=True)
class StudyLock:
    """The lock of a study's folder, held by this process.

    `shares_file` is the open file by which shares wait for each other; None without other shares.
    """

    shares_file: TextIOWrapper | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other share write files of the whole study meanwhile."""
        if self.shares_file is None:
            yield
            return
        fcntl.flock(self.shares_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.shares_file, fcntl.LOCK_UN)


@contextmanager
def locked_study(out: Path, share: Share) -> Iterator[StudyLock]:
    """Hold the lock of a study's folder; a new folder is removed if nothing was written.

    Args:
        out: the study's folder.
        share: the share of the runs; other shares may hold the lock, too, but no call that does all
            runs.

    Raises:
        ProjectError: another process holds it, or the disk refuses the folder.
    """
    is_new = not out.exists()
    kind = fcntl.LOCK_EX if share.is_all else fcntl.LOCK_SH
    with files.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("w")
    with file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProjectError(
                "Another process is working on these runs.",
                where=out,
                next_step="Wait for it, or stop it.",
                unchanged="Nothing was run.",
            ) from error
        files.remove_abandoned(out)
        try:
            if share.is_all:
                yield StudyLock()
            else:
                with files.disk_errors(out):
                    shares_file = (out / SHARES_LOCK).open("w")
                with shares_file:
                    yield StudyLock(shares_file)
        finally:
            if is_new and share.is_all and [path.name for path in out.iterdir()] == [LOCK]:
                remove_folder(out)
