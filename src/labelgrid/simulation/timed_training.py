"""Times a short training of a run, its measuring and its scoring.

They run in a process and a folder of their own.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelgrid.errors import LabelgridError, NothingToBuyError
from labelgrid.executors.places.processes import start_process
from labelgrid.ledger.grid import Unit
from labelgrid.processes import set_threads as init_worker
from labelgrid.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.recipes.resolve import build_plugin, load_recipe, override
from labelgrid.rounds import query
from labelgrid.rounds.round_scores import RoundScores, strategy_of
from labelgrid.select.budget import pool_size
from labelgrid.select.strategy import Budget
from labelgrid.simulation.campaign import create_run, step
from labelgrid.simulation.jobs import Job, RunWork
from labelgrid.simulation.oracle import answer
from labelgrid.simulation.runner import PRELOADED

if TYPE_CHECKING:
    from labelgrid.rounds.score import PoolScorer
    from labelgrid.train.model import TrainedModel

#: Steps of the short training, how many of them are not timed, and images that are scored.
STEPS = 16
WARM = 4
SCORED = 8


@dataclass(frozen=True, kw_only=True)
class StepTiming:
    """The measured times, in seconds, and memory, in bytes.

    Args:
        step: seconds of an optimiser step.
        image: seconds of measuring the network on an image.
        images: how many images are measured per round.
        memory: bytes of a run's processes.
        score: seconds of scoring an image, and of training statistics on it.
        learn: seconds of training statistics on an image with a label.
        members: trainings of further networks for a round's scores, by statistics.
    """

    step: float
    image: float
    images: int
    memory: int
    score: float = 0.0
    learn: float = 0.0
    members: int = 0

    def seconds(self, work: RunWork) -> float:
        """Compute the time of a run.

        Example:
            >>> timing = StepTiming(step=0.5, image=0.1, images=20, memory=0, score=2.0)
            >>> timing.seconds(RunWork(30, [100, 100], scored=50))
            204.0
            >>> work = RunWork(30, [100, 100], scored=50, labelled=[10, 20])
            >>> replace(timing, learn=1.0, members=2).seconds(work)
            434.0
        """
        trained = sum(work.steps) * self.step * (1 + self.members)
        measured = len(work.steps) * self.images * self.image
        return trained + measured + work.scored * self.score + sum(work.labelled) * self.learn


def has_growing_batches(job: Job) -> bool:
    """Whether later batches of a run have more images than its first ones.

    It buys single cells, and its batches are filled by labels: the fewer labels an image has, the
    more images fill one.
    """
    if (
        job.run.kind != "strategy"
        or build_plugin("strategies", job.settings.strategy).unit != "cells"
    ):
        return False
    return load_recipe(job.settings.recipe, job.settings.changes).train.fill == "labels"


def time_training(job: Job) -> StepTiming:
    """Time a short training of a run, in its own process and in a temporary folder.

    Raises:
        LabelgridError: the training fails, as the run would.
    """
    ours, theirs = Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="labelgrid-") as folder:
        settings = replace(
            job.settings, changes=override(job.settings.changes, {"train": {"steps": STEPS}})
        )
        short = replace(job, folder=Path(folder) / "run", settings=settings)
        process = start_process(PRELOADED, _time_in_process, short, theirs)
        theirs.close()
        try:
            received = ours.recv()
        except EOFError as error:
            raise LabelgridError(
                "The process of the timed training ended without a result."
            ) from error
        finally:
            process.terminate()  # it has sent all, or this call was stopped
            process.join()
    if isinstance(received, str):
        raise LabelgridError(received, unchanged="Nothing was run.")
    return StepTiming(**received)


def _time_in_process(job: Job, pipe: "Connection[Any, Any]") -> None:
    init_worker(job.study.threads)
    timer = TimingProgress()
    try:
        create_run(job.folder, job.settings, job.study, job.run.rows(job.study))
        with ProjectFolder.open(job.folder) as project:
            if has_growing_batches(job):
                _buy_cells(project, job)
            while newest_fit(project.folder) is None and step(project, job.run, job.study, timer):
                pass
            times = timer.timing()
            scoring = (0.0, 0.0, 0)
            if job.max_work.scored:
                scoring = _time_scoring(project, timer)
            recipe = load_recipe(job.settings.recipe, job.settings.changes)
            values = (*times, peak_memory(recipe.train.workers), *scoring)
        names = [one.name for one in fields(StepTiming)]
        pipe.send(dict(zip(names, values, strict=True)))
    except LabelgridError as error:
        pipe.send(str(error))


def _buy_cells(project: ProjectFolder, job: Job) -> None:
    """Request the initial labels and as many random cells as all rounds buy, and grant them.

    The cells that the run's own strategy will pick are unknown. At most half of the pool is bought:
    the rest is scored.
    """
    step(project, job.run, job.study, Silent())
    answer(project)
    unit: Unit = "cost" if job.study.unit == "cost" else "labels"
    each = len(project.tasks()) if job.study.unit == "images" else 1
    amount = min(
        job.study.budget * each * job.run.rounds(job.study),
        pool_size(project.store.grid(), unit) / 2,
    )
    if amount > 0:
        with suppress(NothingToBuyError):  # half of the pool may cost less than one label
            query.query(
                project, Budget(amount, unit), Silent(), strategy="random_cells", prelabels=False
            )
        answer(project)


class TrackedIds(list[str]):
    """Image ids that record whether a statistic was trained on them."""

    used = False

    def __iter__(self) -> Iterator[str]:
        self.used = True
        return super().__iter__()


def _time_scoring(project: ProjectFolder, timer: "TimingProgress") -> tuple[float, float, int]:
    """Train the statistics on a few images, and score these.

    Returns the last three fields of a `StepTiming`.
    """
    from labelgrid.rounds.score import PoolScorer

    grid = project.store.grid()
    fit = newest_fit(project.folder)
    rows = np.flatnonzero(grid.eligible.any(1))[:SCORED]
    if fit is None or not len(rows):
        return 0.0, 0.0, 0
    images = [grid.images[row] for row in rows.tolist()]
    few = replace(grid, images=images, keys=grid.keys[rows], state=grid.state[rows])
    scores = RoundScores(project, fit, strategy_of(project)[1])
    own, learn, members = _time_statistics(PoolScorer(scores, timer), images)
    PoolScorer(scores, timer).scored(
        project.round_number, few
    )  # the statistics are trained already
    scored = timer.moments[-1]
    return own + (scored[-1] - scored[0]) / max(timer.totals[-1], 1), learn, members


def _time_statistics(scorer: "PoolScorer", pool: Sequence[str]) -> tuple[float, float, int]:
    """Train each statistic on a few images, and save it as a scoring does.

    Returns:
        The seconds of an image of the pool and of an image with a label, and the number of trained
        networks.
    """
    from labelgrid.rounds.context import labelled_images
    from labelgrid.rounds.members import train_member
    from labelgrid.rounds.score import scoring_job
    from labelgrid.score.fit import FitImages, fit_statistics

    project = scorer.project
    fit = scorer.fit
    timer = scorer.progress
    context = scorer.context
    job = scoring_job(context, scorer.model, scorer.statistics, scorer.scores.stamp)
    folder = scorer.scores.folder(project.round_number)
    seconds = [0.0, 0.0]
    members: list[float] = []

    def member(name: str) -> "TrainedModel":
        start = time.perf_counter()
        model = train_member(context, project, fit=fit, name=name, progress=timer)
        members.append(time.perf_counter() - start)
        return model

    for name, statistic in scorer.statistics.items():
        parts = TrackedIds(pool), TrackedIds(labelled_images(project, "train")[:SCORED])
        start = time.perf_counter()
        before = sum(members)
        images = FitImages(
            labelled=parts[1],
            pool=parts[0],
            seed=fit.seed,
            train_member=member,
            objective=context.recipe.objective,
        )
        fit_statistics(replace(job, statistics={name: statistic}), images, folder, timer)
        took = time.perf_counter() - start - (sum(members) - before)
        used = sum(len(part) for part in parts if part.used)
        for place, part in enumerate(parts):
            seconds[place] += took / used if part.used and used else 0.0
    return seconds[0], seconds[1], len(members)


@dataclass
class TimingProgress(Silent):
    """Records the time of each step of a training and of each measured image."""

    moments: list[list[float]] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)

    def start(self, what: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.moments.append([time.perf_counter()])
        self.totals.append(total)

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.moments[-1].append(time.perf_counter())

    def timing(self) -> tuple[float, float, int]:
        """The first fields of a `StepTiming`.

        The last bar was measuring, the one before it training.
        """
        steps, images = self.moments[-2:]
        first = min(WARM, len(steps) - 2)
        step = (steps[-1] - steps[first]) / max(len(steps) - 1 - first, 1)
        return step, (images[-1] - images[0]) / max(self.totals[-1], 1), self.totals[-1]


def peak_memory(workers: int) -> int:
    """The peak memory, in bytes, of this process and this many of its finished child processes."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, child = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return unit * (own + workers * child)
