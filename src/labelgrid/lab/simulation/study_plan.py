"""Plans a study: the runs, the rest of each run, and the time. Loads no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from labelgrid.basics.errors import ModelError, note_unchanged
from labelgrid.basics.words import count_text, duration
from labelgrid.lab.simulation.forecast import Pace, recorded_seconds, seconds_left
from labelgrid.lab.simulation.resume_check import check_same, extra_runs_note, widen_study
from labelgrid.lab.simulation.run_identity import Identities, identities_of
from labelgrid.lab.simulation.run_jobs import Jobs, RunWork, jobs_of, work_left
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import earlier_values, kept_study, texts_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.supplied_digests import SuppliedDigests
from labelgrid.lab.simulation.validate import missing_weights, validate_study


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The runs of a study and of the study's folder, with the rest of each run, at most.

    Args:
        request: what is run, with the strategies, seeds and rounds of the folder.
        jobs: the job of each run, by key.
        identities: the identities of the runs, without the digest of the images.
        left: run key -> remaining work.
        note: what the request did not ask for, in words; "" if there is nothing.
        missing: the error with which the study would not run, as weights that its networks start
            from cannot be fetched; None if they can, or are not needed.
        supplied: stamps of the suppliers' files, with the digests of their labels.
    """

    request: StudyRequest
    jobs: Jobs
    identities: Identities
    left: Mapping[str, RunWork]
    note: str
    missing: ModelError | None = None
    supplied: Mapping[str, str] = field(default_factory=dict)

    @property
    def planned(self) -> dict[str, Run]:
        """The runs of the study and of the folder, by key."""
        return {key: job.run for key, job in self.jobs.items()}

    @property
    def unfinished(self) -> list[Run]:
        """The runs that train at least a network."""
        return [self.jobs[key].run for key, work in self.left.items() if work.steps]

    @property
    def runs(self) -> int:
        """The number of runs that train at least a network."""
        return len(self.unfinished)

    @property
    def steps(self) -> int:
        """The remaining optimiser steps of all runs."""
        return sum(sum(work.steps) for work in self.left.values())

    @property
    def at_once(self) -> int:
        """The number of parallel runs."""
        return min(self.request.at_once, self.runs)

    @property
    def seconds(self) -> float | None:
        """The time of all remaining work, from the finished steps of the folder's runs.

        None if no step is finished.
        """
        paces = []
        for key, job in self.jobs.items():
            left = sum(self.left[key].steps)
            seconds = recorded_seconds(job.folder)
            done = sum(job.max_work.steps) - left if seconds else 0
            paces.append(Pace(arm=job.run.name, seconds=seconds, done=done, left=left))
        return seconds_left(paces, self.at_once)

    @property
    def work(self) -> str:
        """The remaining work in a sentence, with the time if known."""
        networks = count_text(sum(len(work.steps) for work in self.left.values()), "network")
        runs = count_text(self.runs, "run trains", "runs train")
        work = f"{runs} {networks}: {self.steps:,} steps at most, {self.at_once} runs at a time"
        if self.seconds is None:
            return (
                f"{work}. The time is known after the first steps of the first runs, as ETA; "
                "stopping and resuming loses nothing."
            )
        return f"{work}, about {duration(self.seconds)} at the rate of the finished steps."


@note_unchanged("Nothing was run.")
def plan_study(request: StudyRequest) -> StudyPlan:
    """Check a request, and plan the runs and the rest of the folder's runs without writing.

    Raises:
        LabelgridError: the study is refused. Nothing was run.
    """
    note = ""
    earlier_digests = {}
    earlier = earlier_values(request.out)
    if earlier is not None:
        old = kept_study(earlier, request.out)
        study = widen_study(request.study, old)
        note = extra_runs_note(request.study, study, old)
        earlier_digests = texts_of(earlier, "supplied")
        request = replace(request, study=study)
    runs = validate_study(request)
    supplied = SuppliedDigests(request, earlier_digests)
    identities = identities_of(request, runs, supplied)
    check_same(request, runs, identities)
    jobs = jobs_of(request, runs)
    left = {key: work_left(job) for key, job in jobs.items()}
    missing = None
    if not request.weights:
        unfinished = []
        for key, work in left.items():
            if work.steps:
                unfinished.append(jobs[key].run)
        missing = missing_weights(request.recipe, request.study, unfinished)
    return StudyPlan(
        request=request,
        jobs=jobs,
        identities=identities,
        left=left,
        note=note,
        missing=missing,
        supplied=supplied.digests,
    )
