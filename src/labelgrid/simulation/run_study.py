"""How a study is run: validated, then run or resumed, then its records written."""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from labelgrid import files
from labelgrid.config import as_toml
from labelgrid.errors import ProjectError
from labelgrid.files import remove_folder, write_text
from labelgrid.recipes.files import load_recipe
from labelgrid.simulation import results
from labelgrid.simulation.jobs import jobs_of
from labelgrid.simulation.runner import JobStatus, Runner
from labelgrid.simulation.study import ENDINGS, KEPT, LOCK, Run
from labelgrid.simulation.validate import StudyRequest

#: The recipe that the runs read, two folders above each.
FROZEN = "recipe.toml"


def simulate(
    asked: StudyRequest,
    runs: Sequence[Run],
    pictures: str,
    at_once: int,
    threads: int,
    show: Callable[[Mapping[str, JobStatus]], None],
) -> Mapping[str, JobStatus]:
    """Carry out all runs that are not done, then write the records of all; returns how each ended.

    Args:
        asked: what is to be run.
        runs: of it, checked (`labelgrid.simulation.validate.check`).
        pictures: the digest of the data set's images, kept with the runs (`labelgrid.simulation.validate.pictures`).
        at_once: runs at a time.
        threads: of each.
        show: is told how all runs stand.

    Raises:
        ProjectError: another process is at work on the same folder.
    """
    with _alone(asked.out):
        with files.disk(asked.out):
            (asked.out / ENDINGS).unlink(missing_ok=True)  # what it says may not be so of what is asked now
        write_text(asked.out / KEPT, json.dumps(asked.kept() | {"pictures": pictures}, indent=1) + "\n")
        _freeze(asked)
        _clear(asked.out)
        jobs = jobs_of(runs, asked.study, asked.recipe, asked.weights, asked.root, asked.out, threads)
        jobs = {
            key: replace(job, settings=replace(job.settings, recipe=f"../../{FROZEN}")) for key, job in jobs.items()
        }
        try:
            reports = Runner(jobs, at_once, show).run()
        finally:  # what a stopped call has measured is in the records, too
            own = (o for run in runs for o in results.outcomes_of(run, asked.out / "runs" / run.key))
            results.write(own, asked.out)
        ends = {key: asdict(report) for key, report in reports.items()}
        write_text(asked.out / ENDINGS, json.dumps(ends, indent=1) + "\n")
    return reports


def _freeze(asked: StudyRequest) -> None:
    """Keep the whole recipe, which the runs read: an edit of its file cannot come between them."""
    tables = json.loads(load_recipe(asked.recipe).json())
    said = "# What all runs here are made by; written by `labelgrid simulate`.\n"
    write_text(asked.out / FROZEN, said + "".join(f"{key} = {as_toml(table)}\n" for key, table in tables.items()))


def _clear(out: Path) -> None:
    """Remove what killed runs were building."""
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
                "Another process is at work on these runs.",
                where=str(out),
                next_step="Wait for it, or stop it.",
                unchanged="Nothing was run.",
            ) from error
        yield
