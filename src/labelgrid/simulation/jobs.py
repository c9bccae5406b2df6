"""The runs of a study as jobs: where each takes place, and what it takes at most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.project.settings import Settings
from labelgrid.recipes.files import load_recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice
from labelgrid.simulation.campaign import settings_of
from labelgrid.simulation.study import Run, Study


@dataclass(frozen=True)
class Expected:
    """What a run takes at most.

    Args:
        labels: of the pool, at its end.
        steps: optimiser steps of each of its trainings.
        scored: images that are scored for its picks, over all rounds.
    """

    labels: int
    steps: Sequence[int]
    scored: int = 0

    def after(self, trained: int) -> "Expected":
        """What is left once so many of its trainings are done.

        Example:
            >>> Expected(90, [100, 200, 300], scored=60).after(1)
            Expected(labels=90, steps=[200, 300], scored=40)
        """
        left = self.steps[trained:]
        return replace(self, steps=left, scored=self.scored * len(left) // max(len(self.steps), 1))


def expected(run: Run, study: Study, recipe: str, pool: int) -> Expected:
    """What a run takes at most, of a pool of so many images; less where several labels of an image are bought."""
    train, tasks = load_recipe(recipe, run.changes(study)).train, len(study.tasks)
    initial = pool if run.kind == "full" else min(study.initial, pool)
    if run.kind != "strategy":
        return Expected(initial * tasks, [train.length(initial)])
    labels, images = _bought(study, pool)
    sizes = [min(pool, initial + images * number) for number in range(study.rounds + 1)]
    chosen = study.chosen(run.strategy)
    needs = build_plugin("select", PluginChoice(chosen.name, chosen.options)).needs
    return Expected(
        min(pool * tasks, initial * tasks + labels * study.rounds),
        [train.length(size) for size in sizes[1:]],
        scored=(pool - initial) * study.rounds if needs else 0,
    )


def _bought(study: Study, pool: int) -> tuple[int, int]:
    """Labels and images that a round's budget buys at most; of free labels, all there are."""
    if study.unit == "images":
        return int(study.budget) * len(study.tasks), int(study.budget)
    cheapest = 1.0 if study.unit == "labels" else min(row.cost for row in study.rows())
    labels = int(study.budget / cheapest) if cheapest else pool * len(study.tasks)
    return labels, labels


@dataclass(frozen=True)
class Job:
    """A run, and where it takes place.

    Args:
        folder: its project's.
        start: the project's of the run it goes on from, or None.
        takes: what it takes at most.
        threads: of its process; 0 leaves the library's choice.
    """

    run: Run
    settings: Settings
    study: Study
    folder: Path
    start: Path | None
    takes: Expected
    threads: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the run was done by an earlier call, and would end there by this one."""
        return self.run.is_done(self.study, self.folder)

    @property
    def work(self) -> int:
        """How much it is, in optimiser steps."""
        return sum(self.takes.steps)


def jobs_of(
    runs: Sequence[Run], study: Study, recipe: str, weights: str, root: Path, out: Path, threads: int
) -> dict[str, Job]:
    """The jobs of a study's runs, by key."""
    pool = len(study.splits(root).get(study.pool, ()))
    return {
        run.key: Job(
            run=run,
            settings=settings_of(run, recipe, weights, study, root),
            study=study,
            folder=out / "runs" / run.key,
            start=out / "runs" / run.start(study).key if run.kind == "strategy" else None,
            threads=threads,
            takes=expected(run, study, recipe, pool),
        )
        for run in runs
    }
