"""Estimates the time and memory of a study by timing a short training, which is discarded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from labelgrid.progress import Progress, Silent
from labelgrid.simulation.jobs import Job, RunWork, jobs_of
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.resume_check import widen_request
from labelgrid.simulation.runner import work_left
from labelgrid.simulation.runs import Run
from labelgrid.simulation.timed_training import StepTiming, has_growing_batches, time_training
from labelgrid.simulation.validate import check_weights, validate_study
from labelgrid.train.options import LENGTHS


@dataclass(frozen=True, kw_only=True)
class StudyEstimate:
    """The remaining work of a study, and the time and memory it takes at most.

    Args:
        planned: run -> its arm, kind, seed and point.
        left: run -> remaining work.
        at_once: the number of parallel runs.
        seconds: the time of all remaining work.
        memory: bytes of all parallel runs.
    """

    planned: Mapping[str, Run]
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
    request = widen_request(request)
    runs = validate_study(request)
    jobs = jobs_of(request, runs)
    left = {key: work_left(job) for key, job in jobs.items()}
    check_weights(request, [jobs[key].run for key, work in left.items() if work.steps])
    at_once = min(request.at_once, sum(bool(work.steps) for work in left.values()))
    planned = {key: job.run for key, job in jobs.items()}
    if not at_once:
        return StudyEstimate(planned=planned, left=left, at_once=0, seconds=0.0, memory=0)
    timings = _timings(
        [jobs[key] for key, work in left.items() if work.steps], progress or Silent()
    )
    seconds = sum(timing.seconds(left[key]) for key, timing in timings.items()) / at_once
    memory = max(timing.memory for timing in timings.values())
    return StudyEstimate(
        planned=planned, left=left, at_once=at_once, seconds=seconds, memory=at_once * memory
    )


def _signature(job: Job) -> tuple[str, str]:
    """Describe what the time of a run's steps depends on, and the time of its scoring.

    The second is "" if the run scores nothing.
    """
    changes = dict(job.settings.changes)
    score = changes.pop("score", {})
    changes["train"] = {k: v for k, v in changes.get("train", {}).items() if k not in LENGTHS}
    tasks = [row.name for row in job.run.rows(job.study)]
    growing = has_growing_batches(job) and job.run.rounds(job.study)
    training = json.dumps([tasks, changes, growing], sort_keys=True)
    scoring = (
        json.dumps([asdict(job.settings.strategy), score], sort_keys=True)
        if job.max_work.scored
        else ""
    )
    return training, scoring


def _timings(jobs: Sequence[Job], progress: Progress) -> dict[str, StepTiming]:
    """Time one run of each signature; returns the timing of each run, by its key.

    A run that scores nothing takes the timing of a run with the same steps.
    """
    timed: dict[tuple[str, str], StepTiming] = {}
    found: dict[str, StepTiming] = {}
    for job in sorted(jobs, key=lambda job: not job.max_work.scored):
        training, scoring = signature = _signature(job)
        if signature not in timed:
            same = (
                [timing for (steps, _), timing in timed.items() if steps == training]
                if not scoring
                else []
            )
            if not same:
                progress.say(f"Timing a short training of {job.run.key}, which is discarded.")
            timed[signature] = replace(same[0], members=0) if same else time_training(job)
        found[job.run.key] = timed[signature]
    return found
