"""Pseudo-labels: the previous round's model fills in missing labels, where it is confident.

It predicts given the labels that are known by now. The pseudo-labels are files of the round, made
before its training. The first round has none, and neither has a task for which the previous model
had no label.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import Bools, Floats32
from labelgrid.basics.config import check_tasks
from labelgrid.basics.files import atomic_write
from labelgrid.data.batch import SoftLabel, SoftLabels
from labelgrid.data.dataset import labels_of
from labelgrid.data.frame import Frame, label_of, resize_to_original, target_of
from labelgrid.data.loader import eval_batches
from labelgrid.data.transforms import place_label
from labelgrid.formats.codec import LabelArray
from labelgrid.nets.network import Network, Raw
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import Task, TaskDef, Tasks
from labelgrid.train.evaluation import strips
from labelgrid.train.flip_average import predict_whole
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import fixed_weights, task_losses
from labelgrid.train.term import Preparation, Step, Term
from labelgrid.train.term_options import Share, Weight
from labelgrid.train.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Options:
    """The trusted pixels, and how much they count.

    Args:
        weight: the weight of the pseudo-labels' losses, beside the weight of each task.
        confidence: for class and binary tasks, a pixel counts from this largest probability on.
        certain: for values such as depth, the share of an image's pixels that counts: the pixels
            where the predictions of the image and of its mirror image agree most.
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
    """Pseudo-labels in a folder, a file for each cell, with the confidence of all pixels."""

    folder: Path

    def path(self, image: str, task: TaskDef) -> Path:
        """Return the file of a cell's pseudo-label."""
        return self.folder / task.name / f"{image}.npz"

    def __call__(self, image: str, task: TaskDef) -> SoftLabel | None:
        """Read a cell's pseudo-label, as `SoftLabels` says; None if it has none."""
        path = self.path(image, task)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            label = LabelArray(arrays["value"], arrays["valid"])
            return SoftLabel(label, arrays["confidence"])

    def write(self, image: str, task: TaskDef, label: SoftLabel) -> None:
        """Write a cell's pseudo-label atomically."""
        with atomic_write(self.path(image, task)) as temporary, temporary.open("wb") as file:
            np.savez(
                file, value=label.label.value, valid=label.label.valid, confidence=label.confidence
            )


class PseudoLabels(Term):
    """Trains on the previous model's predictions where a label is missing.

    Source: PartAL, abstract and section 3.3 (predictions given known labels); the mask of confident
    pixels and the mean over all pixels, so that an image with few confident ones counts little:
    Sohn et al. 2020 (FixMatch), eq. 4.
    """

    def __init__(self, tasks: Tasks, options: Options) -> None:
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
        missing = {}
        for image in data.images:
            tasks = self._missing_tasks(data, files, model, image)
            if tasks:
                missing[image] = tasks
        data.progress.start("Predicting pseudo-labels", len(missing), "images")
        for image, frame, outputs in self._predict_images(data, model, list(missing)):
            for name in missing[image]:
                definition = data.definitions[name]
                raws = [raw[name][0] for raw in outputs]
                label = soft_label(data.tasks[name], definition, raws, frame)
                files.write(image, definition, label)
            data.progress.advance()

    def _missing_tasks(
        self, data: Preparation, files: Files, model: TrainedModel, image: str
    ) -> list[str]:
        missing = []
        for name in self.names:
            definition = data.definitions[name]
            if model.trained is not None and name not in model.trained:
                continue
            if data.source.label(image, definition) is not None:
                continue
            if not files.path(image, definition).exists():
                missing.append(name)
        return missing

    def _predict_images(
        self, data: Preparation, model: TrainedModel, images: Sequence[str]
    ) -> Iterator[tuple[str, Frame, list[Raw]]]:
        """Yield each image, its frame and the outputs for a batch of the image alone.

        The output is a mean over flips if the recipe's `[data] average_flips` says so. If a task
        predicts values, there are two further outputs: without known labels, and of the mirror
        image. Images are predicted one by one, so that a killed and repeated preparation writes the
        same files.
        """
        network = model.network
        known_labels = (
            partial(labels_of, data.source, data.definitions) if self.options.known else None
        )
        only_classes = all(data.tasks[name].probabilities for name in self.names)
        for cpu_batch in eval_batches(
            data.source, data.definitions, images, data.data, batch=1, known_labels=known_labels
        ):
            batch = cpu_batch.to(data.device)
            outputs = []
            with torch.inference_mode():
                outputs.append(predict_whole(network, batch, data.tasks, data.data))
                if not only_classes:
                    outputs.append(network(batch.images, None).final)
                    outputs.append(network(batch.images.flip(-1), None).final)
            yield batch.ids[0], batch.frames[0], outputs

    def soft_labels(self, data: Preparation) -> SoftLabels | None:
        """Return the reader of the files, if there are any."""
        return Files(data.folder) if data.folder.is_dir() else None

    def loss(self, step: Step) -> Tensors:
        """Compute the tasks' own losses [b] of all stages over the trusted pixels.

        They are weighted as in the objective.
        """
        tasks = {}
        targets = {}
        for name, soft in step.batch.soft.get(step.name, {}).items():
            if name not in self.names:
                continue
            task = step.tasks[name]
            trusted = soft.confidence > 1 - self.options.certain
            if task.probabilities:
                trusted = soft.confidence >= self.options.confidence
            tasks[name] = task
            targets[name] = replace(soft.target, valid=soft.target.valid & trusted)
        weights = fixed_weights(step.tasks, step.objective)
        losses = task_losses(tasks, step.output, targets, step.objective.initial)
        weighted = {}
        for name, loss in losses.items():
            fraction = targets[name].valid.float().mean((1, 2, 3))
            weighted[name] = self.options.weight * weights[name] * loss * fraction
        return weighted


def soft_label(task: Task, definition: TaskDef, raws: Sequence[Tensor], frame: Frame) -> SoftLabel:
    """Make a cell's pseudo-label with a confidence in 0..1.

    Args:
        task: the task of the cell.
        definition: the definition of the task.
        raws: the outputs [c, h', w'] for the image; for tasks that predict values also those
            without known labels, and for the mirror image.
        frame: the frame of the image.
    """
    probabilities_of = task.probabilities or torch.ones_like
    parts = []
    for rows in strips(task.channels, *frame.original):
        prediction = task.activate(resize_to_original(raws[0], frame, rows)[None])
        label = label_of(task.to_target(prediction))
        largest = probabilities_of(prediction).amax(1)[0]
        parts.append((label.value, label.valid, largest.float().cpu().numpy()))
    values, valid, confidence = map(np.concatenate, zip(*parts, strict=True))
    if not task.probabilities:
        confidence = agreement(
            task, definition, raw=raws[1], mirrored=raws[2], frame=frame, valid=valid
        )
    return SoftLabel(LabelArray(values, valid), confidence)


def agreement(
    task: Task, definition: TaskDef, raw: Tensor, mirrored: Tensor, frame: Frame, valid: Bools
) -> Floats32:
    """Rank an image's pixels [h, w] by how well two predictions agree, in 0..1; 0: not valid.

    A rank is the share of the valid pixels at which the predictions agree no better. Above
    1 - s are the best-agreeing share s of the pixels, and pixels that agree as well.

    Args:
        task: predicts values.
        definition: the definition of the task, which tells how values change in a mirror.
        raw: the output for the image, [c, h', w'].
        mirrored: the output for its mirror image.
        frame: the frame of the image.
        valid: bool [h, w], where the label is valid.
    """
    rows, columns = frame.content
    width = frame.input[1]
    mirrored_columns = slice(width - columns.stop, width - columns.start)
    mirrored_frame = replace(frame, content=(rows, mirrored_columns))
    label = _predict_label(task, raw, frame)
    other = _predict_label(task, mirrored, mirrored_frame)
    whole = (slice(0, frame.original[0]), slice(0, frame.original[1]))
    flip = Placement(source=whole, target=whole, canvas=frame.original, flip=True)
    other = place_label(other, flip, definition)
    first = task.as_prediction(target_of(label).safe())
    second = task.as_prediction(target_of(other).safe())
    gaps = task.disagreement(first, second)[0, 0].numpy()
    counts = valid & label.valid & other.valid
    ascending = np.sort(gaps[counts])
    better = np.searchsorted(ascending, gaps) / max(len(ascending), 1)
    return np.where(counts, 1 - better, 0.0).astype(np.float32)


def _predict_label(task: Task, raw: Tensor, frame: Frame) -> LabelArray:
    output = resize_to_original(raw, frame)
    return label_of(task.to_target(task.activate(output[None])))


def build(tasks: Tasks, network: Network, options: Options) -> PseudoLabels:
    """Build the term."""
    return PseudoLabels(tasks, options)
