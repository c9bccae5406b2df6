"""Pseudo-labels: the previous round's model fills in the labels that training images lack, where it is confident.

It predicts given the labels that are known by now. The pseudo-labels are files of the round, made
before its training. The first round has none, and neither has a task for which the previous model
had no label.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.config import check_tasks
from labelgrid.data.batch import SoftLabel, SoftLabels
from labelgrid.data.dataset import labels_of
from labelgrid.data.frame import Frame, label_of, resize_to_original, target_of
from labelgrid.data.loader import eval_batches
from labelgrid.data.transforms import place_label
from labelgrid.files import atomic_write
from labelgrid.formats.codec import LabelArray
from labelgrid.nets.network import Network, Raw
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.evaluate import strips
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.model import TrainedModel
from labelgrid.train.objective import fixed_weights, task_losses
from labelgrid.train.ranges import Share, Weight
from labelgrid.train.term import Preparation, Step, Term


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which pixels are trusted, and how much they count.

    Args:
        weight: of the pseudo-labels' losses, beside the weight of each task.
        confidence: for class and binary tasks, a pixel counts if its largest probability is at
            least this.
        certain: for values such as depth, this share of an image's pixels counts: those at which
            the predictions of the image and of its mirror image agree most.
        known: predict given the known labels of the image's other tasks.
        tasks: the tasks that get pseudo-labels; all if empty.
    """

    weight: Weight = 1.0
    confidence: Share = 0.9
    certain: Share = 0.5
    known: bool = True
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """Pseudo-labels in a folder, one file per cell, each with the confidence of all its pixels."""

    folder: Path

    def path(self, image: str, task: TaskDef) -> Path:
        """The file of a cell's pseudo-label."""
        return self.folder / task.name / f"{image}.npz"

    def __call__(self, image: str, task: TaskDef) -> SoftLabel | None:
        """As `SoftLabels`."""
        path = self.path(image, task)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as kept:
            return SoftLabel(LabelArray(kept["value"], kept["valid"]), kept["confidence"])

    def write(self, image: str, task: TaskDef, label: SoftLabel) -> None:
        """Write a cell's pseudo-label atomically."""
        with atomic_write(self.path(image, task)) as temporary, temporary.open("wb") as file:
            np.savez(
                file, value=label.label.value, valid=label.label.valid, confidence=label.confidence
            )


class PseudoLabels(Term):
    """Trains on the previous model's predictions where a label is missing.

    Source: PartAL, abstract and section 3.3 (predictions given known labels); the mask of confident
    pixels and the mean
    over all pixels, so that an image with few confident ones counts little: Sohn et al. 2020
    (FixMatch), eq. 4.
    """

    def __init__(self, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__()
        check_tasks("terms.pseudo_labels.tasks", options.tasks, tasks)
        self.options = options
        self.names = [name for name in tasks if name in (options.tasks or tasks)]

    def prepare(self, data: Preparation) -> None:
        """Predict the cells without a label, image by image; files of a killed run are kept.

        Say if there are none.
        """
        say_if_idle("pseudo_labels", data, unlabelled=True)
        model = data.previous()
        files = Files(data.folder)
        if model is None:
            return
        wanted = {image: self._missing(data, files, model, image) for image in data.images}
        images = [image for image, tasks in wanted.items() if tasks]
        data.progress.start("Predicting pseudo-labels", len(images), "images")
        for image, frame, outputs in self._outputs(data, model, images):
            for name in wanted[image]:
                task = data.tasks[name]
                raws = [raw[name] for raw in outputs]
                files.write(
                    image,
                    data.definitions[name],
                    soft_label(task, data.definitions[name], raws, frame),
                )
            data.progress.advance()

    def _missing(
        self, data: Preparation, files: Files, model: TrainedModel, image: str
    ) -> list[str]:
        """The tasks of an image that the model knows, with neither a label nor a pseudo-label."""
        return [
            name
            for name in self.names
            if (model.trained is None or name in model.trained)
            and data.source.label(image, data.definitions[name]) is None
            and not files.path(image, data.definitions[name]).exists()
        ]

    def _outputs(
        self, data: Preparation, model: TrainedModel, images: Sequence[str]
    ) -> Iterator[tuple[str, Frame, list[Raw]]]:
        """Each image, its frame and its outputs.

        For tasks that predict values also without known labels, and mirrored.

        Images are predicted one by one, so that a preparation that was killed ends with the same
        files.
        """
        network = model.network
        known = partial(labels_of, data.source, data.definitions) if self.options.known else None
        used = 1 if all(data.tasks[name].probabilities for name in self.names) else 3
        for cpu_batch in eval_batches(
            data.source, data.definitions, images, data.data, batch=1, known=known
        ):
            batch = cpu_batch.to(data.device)
            with torch.inference_mode():
                views = [
                    (batch.images, batch.targets or None),
                    (batch.images, None),
                    (batch.images.flip(-1), None),
                ]
                raws = [network(view, labels).final for view, labels in views[:used]]
            yield (
                batch.ids[0],
                batch.frames[0],
                [{name: raw[0] for name, raw in one.items()} for one in raws],
            )

    def soft_labels(self, data: Preparation) -> SoftLabels | None:
        """The reader of the files, if there are any."""
        return Files(data.folder) if data.folder.is_dir() else None

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The tasks' own losses [b] of all stages, weighted as in the objective, over the trusted pixels."""
        soft = {
            name: one
            for name, one in step.batch.soft.get(step.name, {}).items()
            if name in self.names
        }
        targets = {
            name: replace(
                one.target, valid=one.target.valid & self._trusted(step.tasks[name], one.confidence)
            )
            for name, one in soft.items()
        }
        tasks = {name: step.tasks[name] for name in soft}
        weights = fixed_weights(step.tasks, step.objective)
        losses = task_losses(tasks, step.output, targets, step.objective.initial)
        return {
            name: self.options.weight
            * weights[name]
            * loss
            * targets[name].valid.float().mean((1, 2, 3))
            for name, loss in losses.items()
        }

    def _trusted(self, task: Task, confidence: Tensor) -> Tensor:
        """Where a pseudo-label counts."""
        return (
            confidence >= self.options.confidence
            if task.probabilities
            else confidence > 1 - self.options.certain
        )


def soft_label(task: Task, definition: TaskDef, raws: Sequence[Tensor], frame: Frame) -> SoftLabel:
    """One cell's pseudo-label with its confidence in 0..1, from the outputs [c, h', w'] of `PseudoLabels._outputs`."""
    parts = [
        _by_rows(task, raws[0], frame, rows) for rows in strips(task.channels, *frame.original)
    ]
    values, valid, confidence = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not task.probabilities:
        confidence = agreement(
            task, definition, raw=raws[1], mirrored=raws[2], frame=frame, valid=valid
        )
    return SoftLabel(LabelArray(values, valid), confidence)


def _by_rows(task: Task, raw: Tensor, frame: Frame, rows: slice) -> tuple[NDArray[np.generic], ...]:
    """The predicted label of some rows, where it is valid, and its probability."""
    prediction = task.activate(resize_to_original(raw, frame, rows)[None])
    label = label_of(task.to_target(prediction))
    sure = (task.probabilities or torch.ones_like)(prediction).amax(1)[0]
    return label.value, label.valid, sure.float().cpu().numpy()


def agreement(
    task: Task,
    definition: TaskDef,
    raw: Tensor,
    mirrored: Tensor,
    frame: Frame,
    valid: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """The share of an image's valid pixels [h, w] whose two predictions agree no better than at this one; 0: not valid.

    Above 1 - s are the best-agreeing share s of them, and those that agree as well.

    Args:
        task: predicts values.
        definition: says what becomes of them in a mirror.
        raw: the output for the image, [c, h', w'].
        mirrored: that for its mirror image.
        frame: of the image.
        valid: bool [h, w], where the label is valid.
    """
    rows, columns = frame.content
    width = frame.input[1]
    other = replace(frame, content=(rows, slice(width - columns.stop, width - columns.start)))
    outputs = resize_to_original(raw, frame), resize_to_original(mirrored, other)
    labels = [label_of(task.to_target(task.activate(output[None]))) for output in outputs]
    whole = (slice(0, frame.original[0]), slice(0, frame.original[1]))
    labels[1] = place_label(
        labels[1],
        Placement(source=whole, target=whole, canvas=frame.original, flip=True),
        definition,
    )
    targets = [target_of(label) for label in labels]
    gaps = task.disagreement(*(task.as_prediction(target.safe()) for target in targets))[
        0, 0
    ].numpy()
    counts = valid & labels[0].valid & labels[1].valid
    order = np.sort(gaps[counts])
    better = np.searchsorted(order, gaps) / max(len(order), 1)
    return np.where(counts, 1 - better, 0.0).astype(np.float32)


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> PseudoLabels:
    """Build the term."""
    return PseudoLabels(tasks, options)
