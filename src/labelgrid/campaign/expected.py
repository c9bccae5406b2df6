"""What the runs of a study take at most: labels, optimiser steps, images scored. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from labelgrid.campaign.recipe import Named, load, make
from labelgrid.campaign.study import Run, Study


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
    train, tasks = load(recipe, run.changes(study)).train, len(study.tasks)
    initial = pool if run.kind == "full" else min(study.initial, pool)
    if run.kind != "strategy":
        return Expected(initial * tasks, [train.length(initial)])
    labels, images = _bought(study, pool)
    sizes = [min(pool, initial + images * number) for number in range(study.rounds + 1)]
    chosen = study.chosen(run.strategy)
    needs = make("select", Named(chosen.name, chosen.options)).needs
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
