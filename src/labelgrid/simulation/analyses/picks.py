"""How well the network predicted the cells that it made a strategy pick, before they were labelled.

PartAL's figure 9 (section 4.5, hardest examples): metrics of the network of each round over the cells that were picked
in it, as one set for each task, against the hidden labels. Beside them, the same over the cells that could be picked.
Labels that the images had at that time are fed in (`known` is "fed in"), as in PartAL's scoring, or not ("none").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelgrid.labels.grid import Cell, State
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.dots import Dots
from labelgrid.report.wording import with_unit
from labelgrid.simulation.analyses.analysis import Finding, Keys, Mean, grouped
from labelgrid.simulation.analyses.measuring import Question, measured
from labelgrid.simulation.runs import Run
from labelgrid.simulation.study import Kind
from labelgrid.streams import image_key, keyed_uniform, seed_of


@dataclass(frozen=True)
class Options:
    """What the picked cells are compared with.

    Args:
        sample: the most images of the pool that are measured, drawn by seed and image id; 0: all. Picked cells are all
            measured.
    """

    sample: int = 0

    def __post_init__(self) -> None:
        if self.sample < 0:
            raise ValueError(f"sample must be a number of at least 0; it is {self.sample}")


@dataclass(frozen=True)
class Picks:
    """See the module."""

    options: Options
    kinds: frozenset[Kind] = frozenset({"strategy"})
    within: frozenset[str] = frozenset()
    needs: str = "a round in which a trained network was followed by picks"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        questions = [question for run, folder in runs for question in self.questions(run, folder)]
        for answer in measured(questions, progress):
            for task in answer.evaluation.metrics:
                yield from answer.findings(task, {**answer.question.keys, "task": task})

    def questions(self, run: Run, folder: Path) -> Iterator[Question]:
        """What is measured of a run: in each round the picked cells and the pool, without and with known labels."""
        with ProjectFolder.open(folder) as project:
            rows = list(project.store.cells(splits=("train",)))
            names, tasks = [row.image_id for row in project.store.images(("train",))], list(project.tasks())
            fitted = [number for number in sorted({row.round for row in rows}) if _has_fit(project, number)]
        sample = self._sample(names, run.seed)
        for number in fitted:
            picked = frozenset(r.cell for r in rows if (r.round, r.state) == (number, State.LABELLED))
            before = frozenset(r.cell for r in rows if r.round < number)
            labelled = frozenset(r.cell for r in rows if r.round < number and r.state == State.LABELLED)
            pool = frozenset(Cell(image, task) for image in sample for task in tasks) - before
            for cells, of in ((picked, "picked"), (pool, "pool")):
                images = {cell.image_id for cell in cells}
                near = frozenset(cell for cell in labelled if cell.image_id in images)
                for known, how in ((frozenset[Cell](), "none"), (near, "fed in")):
                    keys: Keys = {"round": number, "cells": of, "known": how}
                    yield Question(run, folder, number, cells, known, keys)

    def _sample(self, names: Sequence[str], seed: int) -> list[str]:
        """The images of the pool that are measured: the same for all arms of a seed."""
        if not 0 < self.options.sample < len(names):
            return list(names)
        draws = keyed_uniform(np.array([image_key(name) for name in names], np.uint64), seed_of(seed, "analysis"))
        return [names[index] for index in np.argsort(draws)[: self.options.sample]]

    def drawings(self, means: Sequence[Mean]) -> Sequence[Dots]:
        """As `Analysis.drawings`: one drawing for each task and round, one row for each arm."""
        return [_dots(group) for group in grouped(means, "round", "task").values()]


def _has_fit(project: ProjectFolder, number: int) -> bool:
    """Whether a round trained a network before its picks: the round of the initial labels did not."""
    return (project.round_folder(number) / "fit.json").is_file()


def _dots(means: Sequence[Mean]) -> Dots:
    """The marks of one task in one round. Those with known labels are left out if no image had any."""
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    for mean in means:
        mark = str(mean.keys["cells"]) + (", known labels fed in" if mean.keys["known"] == "fed in" else "")
        marks.setdefault(mark, {})[mean.arm] = mean.result.value, mean.deviation
    for mark in [name for name in marks if name.endswith("fed in")]:
        if marks[mark] == marks[mark.partition(",")[0]]:
            del marks[mark]
    first = means[0]
    label = f"{with_unit(first.result.name, first.result.unit)}, {first.result.better} is better"
    title = first.titled(f"{first.keys['task']}, round {first.keys['round']}")
    return Dots(f"picks-{title}", label, marks, title)


def build(options: Options) -> Picks:
    """Build the analysis."""
    return Picks(options)
