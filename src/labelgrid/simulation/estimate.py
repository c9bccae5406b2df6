"""How long a study takes and how much memory: a short training is timed and thrown away."""

import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from labelgrid.config import merge
from labelgrid.errors import LabelgridError
from labelgrid.processes import init_worker
from labelgrid.progress import Progress, Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.files import load_recipe
from labelgrid.simulation.campaign import create_run, step
from labelgrid.simulation.jobs import Expected, Job, jobs_of
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.runner import work_left
from labelgrid.simulation.study import Kind
from labelgrid.simulation.validate import validate_study, widened

#: Steps of the training that is timed; the first ones are not.
STEPS, WARM = 16, 4


@dataclass(frozen=True)
class StepTiming:
    """What was measured, in seconds and bytes.

    Args:
        step: an optimiser step; image: to measure the network on an image; images: so many are measured a round.
        memory: of a run's processes.
    """

    step: float
    image: float
    images: int
    memory: int

    def seconds(self, run: Expected) -> float:
        """Of a run. Scoring an image is assumed to take as long as measuring the network on one.

        Example:
            >>> StepTiming(step=0.5, image=0.1, images=20, memory=0).seconds(Expected(30, [100, 100], scored=50))
            109.0
        """
        return sum(run.steps) * self.step + (len(run.steps) * self.images + run.scored) * self.image


@dataclass(frozen=True)
class StudyEstimate:
    """What is left of a study, and what it takes at most.

    Args:
        kinds: run -> its kind; left: run -> its work.
        at_once: runs at a time.
        seconds: of all that is left.
        memory: bytes of all runs at a time.
    """

    kinds: Mapping[str, Kind]
    left: Mapping[str, Expected]
    at_once: int
    seconds: float
    memory: int

    @property
    def runs(self) -> int:
        """How many runs train at least one network."""
        return sum(bool(one.steps) for one in self.left.values())

    @property
    def steps(self) -> int:
        """Optimiser steps of all of them."""
        return sum(sum(one.steps) for one in self.left.values())


def estimate_study(request: StudyRequest, progress: Progress | None = None) -> StudyEstimate:
    """What `run_study` would take; nothing is written.

    Raises:
        LabelgridError: what `run_study` would refuse.
    """
    request = widened(request)
    runs = validate_study(request)
    jobs = jobs_of(request, runs)
    left = {key: work_left(job) for key, job in jobs.items()}
    at_once = min(request.at_once, sum(bool(one.steps) for one in left.values()))
    kinds = {key: job.run.kind for key, job in jobs.items()}
    if not at_once:
        return StudyEstimate(kinds, left, 0, 0.0, 0)
    (progress or Silent()).say("Timing a short training, which is thrown away.")
    timing = trial(jobs[runs[0].key])
    seconds = sum(timing.seconds(one) for one in left.values()) / at_once
    return StudyEstimate(kinds, left, at_once, seconds, at_once * timing.memory)


def trial(job: Job) -> StepTiming:
    """Time a run with a short training, in a process of its own and in a folder that is removed.

    Raises:
        LabelgridError: it fails, as the run would.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="labelgrid-") as folder:
        settings = replace(job.settings, changes=merge(job.settings.changes, {"train": {"steps": STEPS}}))
        short = replace(job, folder=Path(folder) / "run", settings=settings)
        process = context.Process(target=_try, args=(short, theirs))
        process.start()
        theirs.close()
        try:
            found = ours.recv()
        except EOFError as error:
            raise LabelgridError("The process of the trial ended without a result.") from error
        finally:
            process.join()
    if isinstance(found, str):
        raise LabelgridError(found, unchanged="Nothing was run.")
    return StepTiming(*found)


def _try(job: Job, pipe: "Connection[Any, Any]") -> None:
    init_worker(job.threads)
    watch = Watch()
    try:
        create_run(job.folder, job.settings, job.study, job.run.arm)
        with ProjectFolder.open(job.folder) as project:
            while step(project, job.run, job.study, watch):
                pass
        pipe.send(watch.found(memory(load_recipe(job.settings.recipe, job.settings.changes).train.workers)))
    except LabelgridError as error:
        pipe.send(str(error))


@dataclass
class Watch(Silent):
    """Notes when each piece of a training and of a measuring was done."""

    moments: list[list[float]] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)

    def start(self, what: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.moments.append([time.perf_counter()])
        self.totals.append(total)

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.moments[-1].append(time.perf_counter())

    def found(self, memory: int) -> tuple[float, float, int, int]:
        """The fields of a `StepTiming`: training was the last piece but one, measuring the last."""
        steps, images = self.moments[-2:]
        first = min(WARM, len(steps) - 2)
        a_step = (steps[-1] - steps[first]) / max(len(steps) - 1 - first, 1)
        return a_step, (images[-1] - images[0]) / max(self.totals[-1], 1), self.totals[-1], memory


def memory(workers: int) -> int:
    """The most bytes that this process and so many ended ones it began have held."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return unit * (own + workers * child)
