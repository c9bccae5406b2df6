"""How a study is run, in one call: validated, started or resumed, and its records written."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from labelgrid import files
from labelgrid.config import as_toml
from labelgrid.errors import ProjectError
from labelgrid.files import remove_folder, write_text
from labelgrid.progress import Progress, Silent
from labelgrid.recipes.files import load_recipe
from labelgrid.simulation import results
from labelgrid.simulation.jobs import Job, jobs_of
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.runner import JobStatus, Runner
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import ENDINGS, KEPT, LOCK
from labelgrid.simulation.validate import digest_images, validate_study, widened

#: The recipe that the runs read, two folders above each.
FROZEN = "recipe.toml"


class StudyProgress(Progress, Protocol):
    """Progress of a study: of reading its images, then of all its runs."""

    def show(self, statuses: Mapping[str, JobStatus]) -> None:
        """The status of each run, by key; called a few times a second."""


class SilentStudy(Silent):
    """Says nothing."""

    def show(self, statuses: Mapping[str, JobStatus]) -> None:
        """As `StudyProgress.show`."""


@dataclass(frozen=True)
class StudyResult:
    """How the runs of a study ended.

    Args:
        out: the folder of all runs; its `outcomes.csv` and `outcomes.parquet` hold the records.
        runs: the status of each run, by key.
    """

    out: Path
    runs: Mapping[str, JobStatus]

    @property
    def failed(self) -> dict[str, str]:
        """Key of each run that failed -> why."""
        return {key: status.fault for key, status in self.runs.items() if status.state == "failed"}

    def outcomes(self) -> list[results.Outcome]:
        """All records that were written."""
        return results.read_outcomes(self.out)


def run_study(request: StudyRequest, progress: StudyProgress | None = None) -> StudyResult:
    """Carry out all runs of a study that are not done, then write the records of all.

    An existing folder of the same study is resumed, with its strategies, seeds and rounds. A run that fails does not
    end the others; see `StudyResult.failed`.

    Raises:
        LabelgridError: the study is refused (a name is unknown, a value wrong, an image unreadable, the folder holds
            another study), or another process works on the same folder. Nothing was run.
    """
    progress = progress or SilentStudy()
    request = widened(request)
    runs = validate_study(request)
    images = digest_images(request, progress)
    with _alone(request.out):
        with files.disk(request.out):
            (request.out / ENDINGS).unlink(missing_ok=True)  # it may not be true of what is requested now
        write_text(request.out / KEPT, json.dumps(request.kept() | {"pictures": images}, indent=1) + "\n")
        _freeze(request)
        _clear(request.out)
        try:
            statuses = Runner(_jobs(request, runs), request.at_once, progress.show).run()
        finally:  # a stopped call leaves the records of what it has measured
            own = (o for run in runs for o in results.outcomes_of(run, request.out / "runs" / run.key))
            results.write_outcomes(own, request.out)
        ends = {key: asdict(status) for key, status in statuses.items()}
        write_text(request.out / ENDINGS, json.dumps(ends, indent=1) + "\n")
    return StudyResult(request.out, statuses)


def _jobs(request: StudyRequest, runs: Sequence[Run]) -> dict[str, Job]:
    """The jobs, which read the frozen recipe."""
    jobs = jobs_of(request, runs)
    return {key: replace(job, settings=replace(job.settings, recipe=f"../../{FROZEN}")) for key, job in jobs.items()}


def _freeze(request: StudyRequest) -> None:
    """Keep the whole recipe, which the runs read, so that an edit of its file changes none of them."""
    tables = json.loads(load_recipe(request.recipe).json())
    said = "# What all runs here are made by; written by `labelgrid simulate`.\n"
    write_text(request.out / FROZEN, said + "".join(f"{key} = {as_toml(table)}\n" for key, table in tables.items()))


def _clear(out: Path) -> None:
    """Remove the incomplete projects of killed runs."""
    for left in (out / "runs").glob(".*.partial"):
        remove_folder(left)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    with files.disk(out):
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProjectError(
                "Another process works on these runs.",
                where=str(out),
                next_step="Wait for it, or stop it.",
                unchanged="Nothing was run.",
            ) from error
        yield
