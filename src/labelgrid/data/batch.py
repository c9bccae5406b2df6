"""Defines batches of images, targets and weights as tensors, and collates items into batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import Bytes, Floats32
from labelgrid.basics.camera import Camera
from labelgrid.basics.type_names import Size
from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import Frame
from labelgrid.formats.codec import LabelArray, UpTo
from labelgrid.pixel.fitted_loss import SuppliedTarget
from labelgrid.pixel.target import SoftTarget, Target
from labelgrid.tasks.task import TaskDef, TaskDefs


@dataclass(frozen=True)
class SoftLabel:
    """A label at image size that no annotator gave (a pseudo-label), with a confidence.

    The confidence [h, w] of each pixel is in 0..1.
    """

    label: LabelArray
    confidence: Floats32


#: Reads the soft label of an image and a task; None if there is none.
SoftLabels = Callable[[str, TaskDef], SoftLabel | None]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Several images of the same size, with targets.

    Args:
        ids: b image ids.
        images: float32 [b, 3, h, w], normalised.
        targets: a target [b, c, h, w] for each task; a missing label has no valid pixel.
        weights: the weight of each cell's label in training, float32 [b, t], in the order of the
            tasks.
        frames: the b frames of whole images; empty in training.
        soft: soft targets by term and task, in training, for the terms that read soft labels.
        supplied: suppliers' labels by task, in training, that are true up to a scale or not sure
            everywhere, for images without a target. Only the supervised loss reads these labels.
        known: the known labels that the network gets in training, by task; empty: none.
        camera: the cameras of the images, float32 [b, 4]: fx, fy, cx and cy in pixels of the batch
            (`labelgrid.basics.camera`); NaN where an image's is unknown. None if all are.
    """

    ids: tuple[str, ...]
    images: Tensor
    targets: Mapping[str, Target]
    weights: Tensor
    frames: tuple[Frame, ...] = ()
    soft: Mapping[str, Mapping[str, SoftTarget]] = field(default_factory=dict)
    supplied: Mapping[str, SuppliedTarget] = field(default_factory=dict)
    known: Mapping[str, Target] = field(default_factory=dict)
    camera: Tensor | None = None

    @property
    def image_size(self) -> Size:
        """The height and width of the images."""
        height, width = self.images.shape[-2:]
        return height, width

    def ids_at(self, rows: Tensor) -> list[str]:
        """The ids of some images of the batch, by their places, int64."""
        return [self.ids[row] for row in rows.tolist()]

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        targets = {name: target.to(device) for name, target in self.targets.items()}
        images = self.images.to(device, non_blocking=True)
        weights = self.weights.to(device, non_blocking=True)
        soft = {}
        for term, soft_targets in self.soft.items():
            soft[term] = {name: target.to(device) for name, target in soft_targets.items()}
        camera = self.camera
        if camera is not None:
            camera = camera.to(device, non_blocking=True)
        return replace(
            self,
            images=images,
            targets=targets,
            weights=weights,
            soft=soft,
            supplied={name: supplied.to(device) for name, supplied in self.supplied.items()},
            camera=camera,
        )

    def rows(self, rows: Tensor) -> "Batch":
        """Some images of the batch, by their places, int64; the known labels are left out."""
        soft = {}
        for term, soft_targets in self.soft.items():
            soft[term] = {name: target[rows] for name, target in soft_targets.items()}
        return Batch(
            ids=tuple(self.ids_at(rows)),
            images=self.images[rows],
            targets={name: target[rows] for name, target in self.targets.items()},
            weights=self.weights[rows],
            soft=soft,
            supplied={name: supplied[rows] for name, supplied in self.supplied.items()},
            camera=None if self.camera is None else self.camera[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Item:
    """An image before it is collated into a batch.

    Args:
        id: the image id.
        image: RGB, uint8 [h, w, 3].
        labels: the labels by task.
        weights: the weights of its cells, in the order of the tasks.
        frame: its frame, if it is a whole image.
        soft: its soft labels, by `term/task`.
        camera: the camera of the image; None if unknown.
    """

    id: str
    image: Bytes
    labels: Mapping[str, LabelArray]
    weights: Sequence[float] = ()
    frame: Frame | None = None
    soft: Mapping[str, SoftLabel] = field(default_factory=dict)
    camera: Camera | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of the image and the labels."""
        labels = sum(label.value.nbytes + label.valid.nbytes for label in self.labels.values())
        return self.image.nbytes + labels


def collate(
    items: Sequence[Item], tasks: TaskDefs, options: DataOptions, terms: Sequence[str] = ()
) -> Batch:
    """Collate items of one size into a batch, with soft targets of `terms`.

    A missing label is 0 and nowhere valid.
    """
    size = items[0].image.shape[:2]
    images = normalise_images(np.stack([item.image for item in items]), options)
    targets = {}
    supplied = {}
    for name, task in tasks.items():
        labels = [item.labels.get(name) for item in items]
        unsure = [label if label and label.unsure else None for label in labels]
        if any(unsure):
            labels = [None if label and label.unsure else label for label in labels]
            supplied[name] = stack_supplied(unsure, task, size)
        targets[name] = stack_labels(labels, task, size)
    weights = [list(item.weights) for item in items]
    camera = None
    if any(item.camera is not None for item in items):
        camera = torch.full((len(items), 4), torch.nan)
        for row, item in zip(camera, items, strict=True):
            if item.camera is not None:
                row[:] = torch.tensor(astuple(item.camera))
    return Batch(
        ids=tuple(item.id for item in items),
        images=images,
        targets=targets,
        weights=torch.tensor(weights, dtype=torch.float32),
        frames=tuple(item.frame for item in items if item.frame),
        soft={term: _soft_targets(items, term, tasks, size) for term in terms},
        supplied=supplied,
        camera=camera,
    )


def network_inputs(batches: Sequence[Batch]) -> tuple[Tensor, dict[str, Target] | None]:
    """The images of all batches in a tensor, and the known labels; None if no batch has any.

    A batch without known labels beside one with some gets targets that are nowhere valid. All have
    the first's tasks.
    """
    images = torch.cat([batch.images for batch in batches])
    if not any(batch.known for batch in batches):
        return images, None
    known_labels = {}
    for name in batches[0].targets:
        parts = []
        for batch in batches:
            if name in batch.known:
                parts.append(batch.known[name])
            else:
                target = batch.targets[name]
                parts.append(target.where(torch.zeros_like(target.present)))
        known_labels[name] = Target.cat(parts)
    return images, known_labels


def normalise_images(images: Bytes, options: DataOptions) -> Tensor:
    """Convert RGB images to a network's input, (image / 255 - mean) / std.

    Args:
        images: uint8 [b, h, w, 3].
        options: have the mean and the standard deviation.

    Returns:
        float32 [b, 3, h, w].

    Example:
        >>> options = DataOptions(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> normalise_images(np.zeros((1, 2, 2, 3), np.uint8), options).max()
        tensor(-1.)
    """
    pixels = (
        torch.from_numpy(images)
        .permute(0, 3, 1, 2)
        .to(torch.float32, memory_format=torch.contiguous_format)
    )
    mean = torch.tensor(options.mean).view(3, 1, 1)
    std = torch.tensor(options.std).view(3, 1, 1)
    return pixels.mul_(1 / (255 * std)).sub_(mean / std)


def _soft_targets(
    items: Sequence[Item], term: str, tasks: TaskDefs, size: tuple[int, ...]
) -> dict[str, SoftTarget]:
    targets = {}
    for name, task in tasks.items():
        confidence = np.zeros((len(items), *size), np.float32)
        labels: list[LabelArray | None] = [None] * len(items)
        for i, item in enumerate(items):
            soft = item.soft.get(f"{term}/{name}")
            if soft is not None:
                confidence[i] = soft.confidence
                labels[i] = soft.label
        target = stack_labels(labels, task, size)
        targets[name] = SoftTarget(target, torch.from_numpy(confidence)[:, None] * target.valid)
    return targets


def stack_labels(
    labels: Sequence[LabelArray | None], task: TaskDef, size: tuple[int, ...]
) -> Target:
    """The target of labels of the same size; a missing label is 0 and nowhere valid."""
    label_format = task.codec
    value = np.zeros((len(labels), *size, label_format.CHANNELS), cast("Any", label_format.DTYPE))
    valid = np.zeros((len(labels), *size), np.bool_)
    for i, label in enumerate(labels):
        if label is not None:
            value[i] = label.value
            valid[i] = label.valid
    channels_first = torch.from_numpy(value).permute(0, 3, 1, 2).contiguous()
    return Target(channels_first, torch.from_numpy(valid)[:, None], _annotated_classes(labels))


def stack_supplied(
    labels: Sequence[LabelArray | None], task: TaskDef, size: tuple[int, ...]
) -> SuppliedTarget:
    """The target of suppliers' labels of the same size; a missing label is nowhere valid."""
    confidence = np.ones((len(labels), 1, *size), np.float32)
    up_to = np.ones((len(labels), len(UpTo._fields)), np.float32)
    fitted = np.zeros(len(labels), np.bool_)
    for i, label in enumerate(labels):
        if label is None:
            continue
        if label.confidence is not None:
            confidence[i] = label.confidence
        if label.up_to is not None:
            up_to[i] = label.up_to
            fitted[i] = True
    return SuppliedTarget(
        stack_labels(labels, task, size),
        torch.from_numpy(confidence),
        torch.from_numpy(fitted),
        torch.from_numpy(up_to),
    )


def _annotated_classes(labels: Sequence[LabelArray | None]) -> Tensor | None:
    masks = {}
    for i, label in enumerate(labels):
        if label is not None and label.annotated is not None:
            masks[i] = label.annotated
    if not masks:
        return None
    shape = next(iter(masks.values())).shape
    annotated = np.ones((len(labels), *shape), np.bool_)
    for i, mask in masks.items():
        annotated[i] = mask
    return torch.from_numpy(annotated)
