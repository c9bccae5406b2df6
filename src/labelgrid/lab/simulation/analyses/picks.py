"""Measures how well networks predicted the cells that were picked by scores.

PartAL's figure 9 (section 4.5, hardest examples): metrics of the network of each round over the
cells that were picked in the round, as one set for each task, against the hidden labels. Beside
them, the same over the cells that could be picked. Labels that these images had at that time are
fed in (`known` is "fed in"), as in PartAL's scoring, or not ("none"). If they had no label, as in
the paper's setting, there is only "none".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.drawings.dots import Dots
from labelgrid.lab.simulation.analysis import Finding, Mean, group_means
from labelgrid.lab.simulation.measuring import Question, measure_networks
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Kind
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.moves import CellRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit


@dataclass(frozen=True)
class Options:
    """The sample to compare the picked cells with.

    Args:
        sample: the most images of the pool that are measured, drawn by seed and image id; 0: all.
            Picked cells are all measured.
    """

    sample: int = 0

    def __post_init__(self) -> None:
        if self.sample < 0:
            raise ValueError(f"sample must be a number of at least 0; it is {self.sample}")


@dataclass(frozen=True)
class Picks:
    """See the module."""

    options: Options
    kinds: ClassVar[frozenset[Kind]] = frozenset({"strategy"})
    within: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[str] = "a round in which a trained network was followed by picks"

    def findings(self, runs: Sequence[tuple[Run, Path]], progress: Progress) -> Iterator[Finding]:
        """As `Analysis.findings`."""
        questions: list[Question] = []
        for run, folder in runs:
            questions += self.questions(run, folder)
        for answer in measure_networks(questions, progress):
            for task in answer.evaluation.metrics:
                yield from answer.findings(task, {**answer.question.keys, "task": task})

    def questions(self, run: Run, folder: Path) -> Iterator[Question]:
        """List what is measured of a run.

        In each round it is the picked cells and the pool, without and with known labels.
        """
        with ProjectFolder.open(folder) as project:
            rows = list(project.store.cells(splits=("train",)))
            images = [row.image_id for row in project.store.images(("train",))]
            tasks = project.tasks()
            every = frozenset(Cell(image, task) for image in images for task in tasks)
            bought = sorted({row.round for row in rows if row.state == State.LABELLED})
            # The round of the initial labels has no training.
            numbers = [number for number in bought if read_fit(project.round_folder(number))]
        for number in numbers:
            picked = _labelled(row for row in rows if row.round == number)
            earlier = [row for row in rows if row.round < number]
            pool = self._sample(every - {row.cell for row in earlier}, run.seed)
            labelled = _labelled(earlier)
            sets = {"picked": picked, "pool": pool}
            fed_in = {name: _same_images(labelled, cells) for name, cells in sets.items()}
            known_labels = {"none": dict.fromkeys(sets, frozenset[Cell]())}
            if any(fed_in.values()):
                known_labels["fed in"] = fed_in
            for label_set, labels in known_labels.items():
                for name, cells in sets.items():
                    yield Question(
                        run=run,
                        folder=folder,
                        round=number,
                        cells=cells,
                        known=labels[name],
                        keys={"round": number, "cells": name, "known": label_set},
                    )

    def _sample(self, pool: frozenset[Cell], seed: int) -> frozenset[Cell]:
        """Choose the cells of the measured images, drawn by image id.

        Arms of a seed share the images that all their pools have.
        """
        images = sorted({cell.image_id for cell in pool})
        if not 0 < self.options.sample < len(images):
            return pool
        draws = keyed_uniform(image_keys(images), seed_of(seed, "analysis"))
        chosen = {images[index] for index in np.argsort(draws)[: self.options.sample]}
        return frozenset(cell for cell in pool if cell.image_id in chosen)

    def drawings(self, means: Sequence[Mean]) -> Sequence[Dots]:
        """As `Analysis.drawings`, with a drawing for each task and round and a row for each arm."""
        return [_dots(group) for group in group_means(means, "round", "task").values()]


def _labelled(rows: Iterable[CellRow]) -> frozenset[Cell]:
    return frozenset(row.cell for row in rows if row.state == State.LABELLED)


def _same_images(labelled: frozenset[Cell], cells: frozenset[Cell]) -> frozenset[Cell]:
    images = {cell.image_id for cell in cells}
    return frozenset(cell for cell in labelled if cell.image_id in images)


def _dots(means: Sequence[Mean]) -> Dots:
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    for mean in means:
        mark = str(mean.keys["cells"])
        if mean.keys["known"] == "fed in":
            mark += ", known labels fed in"
        marks.setdefault(mark, {})[mean.arm] = mean.result.value, mean.deviation
    first = means[0]
    title = first.titled(f"{first.keys['task']}, round {first.keys['round']}")
    return Dots(f"picks-{title}", first.axis_label, marks, title)


def build(options: Options) -> Picks:
    """Build the analysis."""
    return Picks(options)
