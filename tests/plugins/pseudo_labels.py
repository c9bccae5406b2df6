"""Pseudo-labels: trains on the previous round's predictions where labels are missing, weighted by their confidence.

They are files of the round, made once and read with the batch. Source: Lee 2013, with confidence as a weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labelgrid.data.batch import SoftLabel, SoftLabels
from labelgrid.data.frame import Frame, to_original
from labelgrid.files import atomic_write
from labelgrid.labels.codec import LabelArray
from labelgrid.nets.network import Network
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.evaluate import predictions
from labelgrid.train.objective import at_size
from labelgrid.train.term import Preparation, Step, Term


@dataclass(frozen=True)
class Options:
    """The pseudo-labels.

    Args:
        weight: of the term.
        trust: confidence of tasks whose predictions have no probability.
    """

    weight: float = 1.0
    trust: float = 0.5


@dataclass(frozen=True)
class Files:
    """Pseudo-labels in a folder, one file per cell."""

    folder: Path

    def path(self, image: str, task: TaskDef) -> Path:
        """The file of a cell's pseudo-label."""
        return self.folder / task.name / f"{image}.npz"

    def __call__(self, image: str, task: TaskDef) -> SoftLabel | None:
        """As `SoftLabels`."""
        path = self.path(image, task)
        if not path.is_file():
            return None
        with np.load(path) as kept:
            return SoftLabel(LabelArray(kept["value"], kept["valid"]), kept["confidence"])

    def write(self, image: str, task: TaskDef, label: SoftLabel) -> None:
        """Write a cell's pseudo-label atomically."""
        with atomic_write(self.path(image, task)) as temporary, temporary.open("wb") as file:
            np.savez(file, value=label.label.value, valid=label.label.valid, confidence=label.confidence)


class PseudoLabels(Term):
    """Learns from the previous round's model; does nothing in the first round."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options

    def prepare(self, data: Preparation) -> None:
        """Predict the cells without a label, image by image; files of a killed run are kept."""
        model, files = data.previous(), Files(data.folder)
        if model is None:
            return
        wanted = {image: self._missing(data, files, image) for image in data.images}
        images = [image for image, tasks in wanted.items() if tasks]
        data.progress.start("Predicting pseudo-labels", len(images), "images")
        found = predictions(model, data.definitions, data.source, images, data.data, progress=data.progress)
        for image, raws, frame in found:
            for task in wanted[image]:
                files.write(image, data.definitions[task], self.label(data.tasks[task], raws[task], frame))

    @staticmethod
    def _missing(data: Preparation, files: Files, image: str) -> list[str]:
        """The tasks of an image with neither a label nor a pseudo-label."""
        return [
            name
            for name, task in data.definitions.items()
            if data.source.label(image, task) is None and not files.path(image, task).exists()
        ]

    def label(self, task: Task, raw: Tensor, frame: Frame) -> SoftLabel:
        """A raw output [c, h', w'] as a soft label of the image's size."""
        prediction = task.activate(to_original(raw, frame)[None])[0].cpu()
        valid = torch.ones(prediction.shape[-2:], dtype=torch.bool)
        confidence = torch.full(prediction.shape[-2:], self.options.trust)
        if task.label_channels != task.channels:  # one class of several
            confidence, prediction = prediction.max(0)[0], prediction.argmax(0, keepdim=True)
        value = prediction.permute(1, 2, 0).numpy()
        return SoftLabel(LabelArray(value, valid.numpy()), confidence.numpy().astype(np.float32))

    def soft_labels(self, data: Preparation) -> SoftLabels:
        """The reader of the files."""
        return Files(data.folder)

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The tasks' own losses [b], each pixel weighted by its confidence."""
        losses = {}
        for name, soft in step.batch.soft[step.name].items():
            raw = at_size(step.output.final[name], soft.target)
            weighted = (
                torch.where(soft.target.valid, step.tasks[name].pixel_loss(raw, soft.target), 0.0) * soft.confidence
            )
            losses[name] = self.options.weight * weighted.flatten(1).mean(1)
        return losses


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> PseudoLabels:
    """Build the term."""
    return PseudoLabels(options)
