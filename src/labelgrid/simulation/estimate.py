"""Estimates the time and memory of a study by timing a short training, which is discarded."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.errors import LabelgridError
from labelgrid.processes import init_worker
from labelgrid.progress import Progress, Silent
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import load_recipe, override
from labelgrid.rounds.round_scores import RoundScores, strategy_of
from labelgrid.simulation.campaign import create_run, step
from labelgrid.simulation.jobs import Job, RunWork, jobs_of
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.runner import work_left
from labelgrid.simulation.study import Kind
from labelgrid.simulation.validate import validate_study, widened

#: Steps of the short training, how many of them are not timed, and images that are scored.
STEPS, WARM, SCORED = 16, 4, 8


@dataclass(frozen=True)
class StepTiming:
    """The measured times, in seconds, and memory, in bytes.

    Args:
        step: seconds of an optimiser step.
        image: seconds of measuring the network on an image.
        images: how many images are measured per round.
        memory: bytes of a run's processes.
        score: seconds of scoring an image.
    """

    step: float
    image: float
    images: int
    memory: int
    score: float = 0.0

    def seconds(self, work: RunWork) -> float:
        """The time of a run.

        Example:
            >>> timing = StepTiming(step=0.5, image=0.1, images=20, memory=0, score=2.0)
            >>> timing.seconds(RunWork(30, [100, 100], scored=50))
            204.0
        """
        measured = len(work.steps) * self.images
        return sum(work.steps) * self.step + measured * self.image + work.scored * self.score


@dataclass(frozen=True)
class StudyEstimate:
    """The remaining work of a study, and the time and memory it takes at most.

    Args:
        kinds: run -> kind.
        left: run -> remaining work.
        at_once: the number of parallel runs.
        seconds: the time of all remaining work.
        memory: bytes of all parallel runs.
    """

    kinds: Mapping[str, Kind]
    left: Mapping[str, RunWork]
    at_once: int
    seconds: float
    memory: int

    @property
    def runs(self) -> int:
        """The number of runs that train at least one network."""
        return sum(bool(work.steps) for work in self.left.values())

    @property
    def steps(self) -> int:
        """The optimiser steps of all runs."""
        return sum(sum(work.steps) for work in self.left.values())


def estimate_study(request: StudyRequest, progress: Progress | None = None) -> StudyEstimate:
    """Estimate the time and memory of `run_study`; nothing is written.

    Raises:
        LabelgridError: what `run_study` would refuse.
    """
    request = widened(request)
    runs = validate_study(request)
    jobs = jobs_of(request, runs)
    left = {key: work_left(job) for key, job in jobs.items()}
    at_once = min(request.at_once, sum(bool(work.steps) for work in left.values()))
    kinds = {key: job.run.kind for key, job in jobs.items()}
    if not at_once:
        return StudyEstimate(kinds, left, 0, 0.0, 0)
    timings = _timings([jobs[key] for key, work in left.items() if work.steps], progress or Silent())
    seconds = sum(timings[_signature(jobs[key])].seconds(work) for key, work in left.items() if work.steps) / at_once
    memory = max(timing.memory for timing in timings.values())
    return StudyEstimate(kinds, left, at_once, seconds, at_once * memory)


def _signature(job: Job) -> tuple[str, str]:
    """What the time of a run's steps depends on, and what that of its scoring depends on; "" if it scores nothing."""
    changes = dict(job.settings.changes)
    score = changes.pop("score", {})
    lengths = ("steps", "epochs", "label_visits")
    changes["train"] = {k: v for k, v in changes.get("train", {}).items() if k not in lengths}
    training = json.dumps([[row.name for row in job.study.rows(job.run.arm)], changes], sort_keys=True)
    scoring = json.dumps([asdict(job.settings.strategy), score], sort_keys=True) if job.max_work.scored else ""
    return training, scoring


def _timings(jobs: Sequence[Job], progress: Progress) -> dict[tuple[str, str], StepTiming]:
    """Time one run of each signature; a run that scores nothing takes the times of one with the same steps."""
    found: dict[tuple[str, str], StepTiming] = {}
    for job in sorted(jobs, key=lambda job: not job.max_work.scored):
        training, scoring = _signature(job)
        if (training, scoring) in found:
            continue
        same = [timing for (steps, _), timing in found.items() if steps == training] if not scoring else []
        if not same:
            progress.say(f"Timing a short training of {job.run.key}, which is discarded.")
        found[training, scoring] = same[0] if same else time_training(job)
    return found


def time_training(job: Job) -> StepTiming:
    """Time a short training of a run, in its own process and in a temporary folder.

    Raises:
        LabelgridError: the training fails, as the run would.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="labelgrid-") as folder:
        settings = replace(job.settings, changes=override(job.settings.changes, {"train": {"steps": STEPS}}))
        short = replace(job, folder=Path(folder) / "run", settings=settings)
        process = context.Process(target=_time_in_process, args=(short, theirs))
        process.start()
        theirs.close()
        try:
            received = ours.recv()
        except EOFError as error:
            raise LabelgridError("The process of the timed training ended without a result.") from error
        finally:
            process.join()
    if isinstance(received, str):
        raise LabelgridError(received, unchanged="Nothing was run.")
    return StepTiming(*received)


def _time_in_process(job: Job, pipe: "Connection[Any, Any]") -> None:
    init_worker(job.study.threads)
    timer = TimingProgress()
    try:
        create_run(job.folder, job.settings, job.study, job.run.arm)
        with ProjectFolder.open(job.folder) as project:
            while newest_fit(project.folder) is None and step(project, job.run, job.study, timer):
                pass
            times = timer.timing(peak_memory(load_recipe(job.settings.recipe, job.settings.changes).train.workers))
            score = _time_scoring(project, timer) if job.max_work.scored else 0.0
        pipe.send((*times, score))
    except LabelgridError as error:
        pipe.send(str(error))


def _time_scoring(project: ProjectFolder, timer: "TimingProgress") -> float:
    """Score a few images of the pool; returns the seconds of one. The training of a statistic is not counted."""
    from labelgrid.rounds.score import PoolScorer

    grid, fit = project.store.grid(), newest_fit(project.folder)
    rows = np.flatnonzero(grid.eligible.any(1))[:SCORED]
    if fit is None or not len(rows):
        return 0.0
    images = [grid.images[row] for row in rows.tolist()]
    few = replace(grid, images=images, keys=grid.keys[rows], state=grid.state[rows])
    PoolScorer(RoundScores(project, fit, strategy_of(project)[1]), timer).scored(project.round_number, few)
    scored = timer.moments[-1]
    return (scored[-1] - scored[0]) / len(rows)


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

    def timing(self, memory: int) -> tuple[float, float, int, int]:
        """The fields of a `StepTiming`; the last bar was measuring, the one before it training."""
        steps, images = self.moments[-2:]
        first = min(WARM, len(steps) - 2)
        step = (steps[-1] - steps[first]) / max(len(steps) - 1 - first, 1)
        return step, (images[-1] - images[0]) / max(self.totals[-1], 1), self.totals[-1], memory


def peak_memory(workers: int) -> int:
    """The peak memory, in bytes, of this process and this many of its finished child processes."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return unit * (own + workers * child)
