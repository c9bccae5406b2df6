"""Turns the runs of a study into jobs with folders and upper bounds of the work.

Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.lab.simulation.cell_lists import listed_cells
from labelgrid.lab.simulation.initial_cells import FIRST, most_labels
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_results import Outcome, recorded_runs
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.settings import SHARED_FEATURES, Oracle, Settings
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin, load_recipe


@dataclass(frozen=True)
class RunWork:
    """The work of a run, at most.

    Args:
        labels: the number of labels of the pool's images at the end.
        steps: the optimiser steps of each training.
        scored: the number of images that are scored for picks, over all rounds.
        labelled: the number of images with a label in each training. At most as many have one when
            the pool is scored before it; some statistics are trained on them.
    """

    labels: int
    steps: Sequence[int]
    scored: int = 0
    labelled: Sequence[int] = ()

    def after(self, trained: int) -> "RunWork":
        """The remaining work after this many finished trainings.

        Example:
            >>> RunWork(90, [100, 200, 300], scored=60, labelled=[20, 25, 30]).after(1)
            RunWork(labels=90, steps=[200, 300], scored=40, labelled=[25, 30])
        """
        steps = self.steps[trained:]
        scored = self.scored * len(steps) // max(len(self.steps), 1)
        return replace(self, steps=steps, scored=scored, labelled=self.labelled[trained:])


def work_of(run: Run, study: Study, recipe: str, pool: int, root: Path = Path()) -> RunWork:
    """Compute the work of a run, at most; it is less if several labels of an image are bought.

    `pool` is the number of images in the pool, `root` the folder above files of initial cells.
    """
    train = load_recipe(recipe, run.overrides(study)).train
    rows = run.rows(study)
    images, labels = _initial_sizes(run, study, pool, root)
    if run.kind != "strategy":
        steps = [train.length(images, labels, len(rows))] if labels else []
        return RunWork(labels, steps)
    more_labels, more_images = _bought_sizes(study, rows, pool)
    steps = []
    labelled = []
    for _ in range(run.rounds(study)):
        images = min(pool, images + more_images)
        labels = min(pool * len(rows), labels + more_labels)
        steps.append(train.length(images, labels, len(rows)))
        labelled.append(images)
    if not build_plugin("strategies", study.chosen(run.name)).needs:
        return RunWork(labels, steps)
    return RunWork(labels, steps, scored=pool * len(steps), labelled=labelled)


def _initial_sizes(run: Run, study: Study, pool: int, root: Path) -> tuple[int, int]:
    plan = run.initial(study)
    tasks = [row.name for row in run.rows(study)]
    if plan.file:
        listed = listed_cells(plan, root, study.splits(root).get(study.pool, ()))
        cells = [cell for cell in listed if cell.task in tasks]
        return len({cell.image_id for cell in cells}), len(cells)
    images = plan.count(pool)
    arm_labels = most_labels(plan, images, len(study.rows(run.arm)))
    return images, min(arm_labels, images * len(tasks))


def _bought_sizes(study: Study, rows: Sequence[TaskRow], pool: int) -> tuple[int, int]:
    """The numbers of labels and images that a round's budget buys, at most.

    Free labels are all bought.
    """
    if study.unit == "images":
        return int(study.budget) * len(rows), int(study.budget)
    cheapest = min(row.cost for row in rows) if study.unit == "cost" else 1.0
    labels = int(study.budget / cheapest) if cheapest else pool * len(rows)
    return labels, labels


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run and its folders.

    Args:
        folder: the folder of its project.
        start: the folder of the project it continues, or None.
        max_work: its work, at most.
        records: the records of an earlier study, instead of a folder: the run need not be repeated.
    """

    run: Run
    settings: Settings
    study: Study
    folder: Path
    start: Path | None
    max_work: RunWork
    records: Sequence[Outcome] = ()

    @property
    def is_done(self) -> bool:
        """Whether an earlier call finished the run, under the same end conditions."""
        return bool(self.records) or self.run.is_done(self.study, self.folder)

    @property
    def progress_folder(self) -> Path:
        """The folder where the process of the run shows progress; see `executors.job`."""
        return self.folder.parents[1] / "jobs" / self.run.key

    @property
    def work(self) -> int:
        """The optimiser steps; at least 1, so that shares can be computed."""
        return max(sum(self.max_work.steps), 1)


#: Jobs by the keys of their runs.
Jobs = Mapping[str, Job]


def settings_of(run: Run, recipe: str, weights: str, study: Study, root: Path) -> Settings:
    """The settings of a run's project."""
    return Settings(
        recipe=recipe,
        seed=run.seed,
        weights=weights,
        group=study.group,
        strategy=study.chosen(run.name) if run.kind == "strategy" else PluginChoice(FIRST),
        changes=run.overrides(study),
        oracle=Oracle(study.data, str(root.absolute())),
        explain=study.explain or None,
        features=SHARED_FEATURES,
    )


def jobs_of(request: StudyRequest, runs: Sequence[Run]) -> dict[str, Job]:
    """The jobs of a study's runs, by key."""
    study = request.study
    root = request.root
    folder = request.out / "runs"
    pool = len(study.splits(root).get(study.pool, ()))
    recorded = recorded_runs(request.out, runs, study)
    works = {}
    jobs = {}
    for run in runs:
        seedless = replace(run, seed=0)  # runs that differ only in their seed have the same work
        if seedless.key not in works:
            works[seedless.key] = work_of(
                seedless, study, recipe=request.recipe, pool=pool, root=root
            )
        jobs[run.key] = Job(
            run=run,
            settings=settings_of(
                run, request.recipe, weights=request.weights, study=study, root=root
            ),
            study=study,
            folder=folder / run.key,
            start=folder / run.start(study).key if run.kind == "strategy" else None,
            max_work=works[seedless.key],
            records=recorded.get(run.key, ()),
        )
    return jobs


def count_trainings(job: Job) -> int:
    """Count the finished trainings of a run, without the copied training of the start."""
    fits = len(list(job.folder.glob("rounds/*/fit.json")))
    return max(fits - 1, 0) if job.start else fits


def work_left(job: Job) -> RunWork:
    """Compute the remaining work of a run."""
    return job.max_work.after(len(job.max_work.steps) if job.is_done else count_trainings(job))
