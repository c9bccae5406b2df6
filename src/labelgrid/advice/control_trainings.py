"""Trains on a strategy's picks, and on as many labels of its control, seed by seed."""

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from labelgrid.advice.extra_trainings import ExtraTraining, TrainingResult
from labelgrid.basics.progress import Progress
from labelgrid.basics.results import LOSS, Result
from labelgrid.basics.streams import seed_of
from labelgrid.basics.words import duration
from labelgrid.project.cells.chosen_labels import ChosenLabels, draw_equal, equal_counts
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import RoundContext, labelled_images, tasks_by_image
from labelgrid.rounds.fit import Splits
from labelgrid.rounds.model_record import measure

#: The folder of the project with what is trained, and the file of each training with its metrics.
FOLDER = "control"
RECORD = "measured.json"
#: Which labels a training has beside those of both.
Side = Literal["picks", "control"]
SIDES: tuple[Side, ...] = ("picks", "control")


@dataclass(frozen=True, kw_only=True)
class TaskLabels:
    """The labels of a task by who chose them.

    Args:
        task: its name.
        picks: the labels that a strategy picked.
        control: the labels that were drawn as a control.
        compared: the number of such labels in each training; 0: the task is left out.
    """

    task: str
    picks: int
    control: int
    compared: int


@dataclass(frozen=True, kw_only=True)
class SideMetrics(TrainingResult):
    """The metrics of a network on the held-out images, as `measured.json`.

    Args:
        values: `loss_mtl`, and by task the headline metric, as far as they are numbers.
    """

    values: Mapping[str, Result]


@dataclass(frozen=True, kw_only=True)
class ControlTrainings:
    """The trainings on both sets of labels, two for each seed.

    Args:
        context: the context of the project, with all of its labels.
        splits: the training images and the val images. A val image keeps all of its labels in all
            trainings: none learns from them.
        chosen: the labels of the training images by who chose them.
        seeds: their number.
        progress: receives the progress.
    """

    context: RoundContext
    splits: Splits
    chosen: ChosenLabels
    seeds: int
    progress: Progress

    @cached_property
    def labels(self) -> list[TaskLabels]:
        """The labels of each task that was picked or drawn as a control."""
        counts = equal_counts(self.chosen.picks, self.chosen.control)
        picks = Counter(cell.task for cell in self.chosen.picks)
        control = Counter(cell.task for cell in self.chosen.control)
        rows = []
        for task in self.context.definitions:
            if picks[task] or control[task]:
                row = TaskLabels(
                    task=task,
                    picks=picks[task],
                    control=control[task],
                    compared=counts.get(task, 0),
                )
                rows.append(row)
        return rows

    @cached_property
    def shared(self) -> int:
        """The number of labels of training images that all trainings have."""
        learn = set(self.splits[0])
        ours = sum(cell.image_id in learn for cell in self.context.source.labels)
        return ours - len(self.chosen.picks) - len(self.chosen.control)

    def measured(self) -> tuple[list[Mapping[str, Result]], list[Mapping[str, Result]]]:
        """The measurements with the picks and with the control, seed by seed."""
        results: dict[Side, list[Mapping[str, Result]]] = {side: [] for side in SIDES}
        total = len(SIDES) * self.seeds
        seconds: list[float] = []
        for index in range(total):
            seed = index // len(SIDES) + 1
            side = SIDES[index % len(SIDES)]
            training = self._training(seed, side)
            identity = self._identity(training)
            result = training.read(SideMetrics, RECORD, identity)
            if result is None:
                left = ""
                if seconds:
                    left = f"; {duration(sum(seconds) / len(seconds) * (total - index))} to go"
                self.progress.say(f"Training {index + 1} of {total}: seed {seed}, {side}{left}.")
                begun = time.monotonic()
                result = self._measure(training, identity)
                seconds.append(time.monotonic() - begun)
            results[side].append(result.values)
        return results["picks"], results["control"]

    def _training(self, seed: int, side: Side) -> ExtraTraining:
        project = self.context.project
        cells = self.chosen.picks if side == "picks" else self.chosen.control
        counts = {}
        for row in self.labels:
            if row.compared:
                counts[row.task] = row.compared
        drawn = draw_equal(cells, counts, seed_of(self.context.seed, "control", side, seed))
        left_out = {*self.chosen.picks, *self.chosen.control}.difference(drawn)
        labels = {
            cell: label
            for cell, label in self.context.source.labels.items()
            if cell not in left_out
        }
        learn = self.splits[0]
        if self.context.recipe.train.images != "all":
            labelled = tasks_by_image(labels)
            learn = [image_id for image_id in learn if image_id in labelled]
        context = replace(
            self.context,
            source=replace(self.context.source, labels=labels),
            seed=seed_of(self.context.seed, "control training", seed),
        )
        return ExtraTraining(
            context=context,
            splits=(learn, self.splits[1]),
            folder=project.folder / FOLDER / f"seed-{seed}-{side}",
            progress=self.progress,
        )

    def _identity(self, training: ExtraTraining) -> str:
        heldout = set(labelled_images(self.context.project, "heldout"))
        labels = []
        for cell, label in self.context.source.labels.items():
            if cell.image_id in heldout:
                labels.append((cell.image_id, cell.task, label.digest))
        return hash_of(training.identity, sorted(labels))

    def _measure(self, training: ExtraTraining, identity: str) -> SideMetrics:
        model = training.train()
        context = training.context
        evaluation = measure(context, model=model, split="heldout", progress=self.progress)
        assert evaluation is not None  # there are held-out labels
        values = {LOSS: evaluation.loss_mtl}
        for name, task in context.tasks.items():
            if evaluation.labels.get(name):
                values[name] = evaluation.metrics[name][task.headline]
        finite = {name: value for name, value in values.items() if math.isfinite(value.value)}
        result = SideMetrics(identity=identity, values=finite)
        training.keep(result, RECORD)
        return result
