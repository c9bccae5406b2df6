"""What a batch is: images, targets and weights as tensors, and how examples become one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import Frame
from labelgrid.data.transforms import DataOptions
from labelgrid.labels.codec import LabelArray, codec
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class SoftLabel:
    """A label that nobody gave, of an image's size, and how far each pixel is trusted: confidence [h, w] in 0..1."""

    label: LabelArray
    confidence: NDArray[np.float32]


#: Reads an image's soft label of a task; None where there is none.
SoftLabels = Callable[[str, TaskDef], SoftLabel | None]


@dataclass(frozen=True)
class SoftTarget:
    """Soft labels of a batch: a target [b, c, h, w], and float32 confidence [b, 1, h, w], 0 where it is not valid."""

    target: Target
    confidence: Tensor

    def to(self, device: torch.device | str) -> "SoftTarget":
        """The target on another device."""
        return SoftTarget(self.target.to(device), self.confidence.to(device, non_blocking=True))


@dataclass(frozen=True)
class Batch:
    """Several images of one size and what is known of them.

    Args:
        ids: b image ids.
        images: float32 [b, 3, h, w], normalised.
        targets: a target [b, c, h, w] a task; a missing label is valid nowhere.
        weights: float32 [b, t], of each cell's label in training, in the order of the tasks.
        frames: b frames of images that were fitted whole; none in training.
        soft: in training, soft targets by term and task, of the terms that read soft labels.
    """

    ids: tuple[str, ...]
    images: Tensor
    targets: Mapping[str, Target]
    weights: Tensor
    frames: tuple[Frame, ...] = ()
    soft: Mapping[str, Mapping[str, SoftTarget]] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        targets = {name: target.to(device) for name, target in self.targets.items()}
        images, weights = self.images.to(device, non_blocking=True), self.weights.to(device, non_blocking=True)
        soft = {term: {name: own.to(device) for name, own in group.items()} for term, group in self.soft.items()}
        return replace(self, images=images, targets=targets, weights=weights, soft=soft)


@dataclass(frozen=True)
class Item:
    """One image of a batch to be: RGB [h, w, 3], its labels, its cells' weights, and what else it has.

    That is its frame, where it was fitted whole, and its soft labels by `term/task`.
    """

    id: str
    image: NDArray[np.uint8]
    labels: Mapping[str, LabelArray]
    weights: Sequence[float] = ()
    frame: Frame | None = None
    soft: Mapping[str, SoftLabel] = field(default_factory=dict)


def collate(
    items: Sequence[Item], tasks: Mapping[str, TaskDef], options: DataOptions, terms: Sequence[str] = ()
) -> Batch:
    """One batch of items of one size, with soft targets of `terms`; a missing label is zero values, valid nowhere."""
    size = items[0].image.shape[:2]
    return Batch(
        tuple(item.id for item in items),
        normalised(np.stack([item.image for item in items]), options),
        {name: _target([item.labels.get(name) for item in items], task, size) for name, task in tasks.items()},
        torch.tensor([list(item.weights) for item in items], dtype=torch.float32),
        tuple(item.frame for item in items if item.frame),
        {term: {name: _soft(items, f"{term}/{name}", task, size) for name, task in tasks.items()} for term in terms},
    )


def normalised(images: NDArray[np.uint8], options: DataOptions) -> Tensor:
    """RGB [b, h, w, 3] as a network's input: float32 [b, 3, h, w], (image / 255 - mean) / std.

    Example:
        >>> normalised(np.zeros((1, 2, 2, 3), np.uint8), DataOptions(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))).max()
        tensor(-1.)
    """
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (options.mean, options.std))
    return pixels.mul_(1 / (255 * std)).sub_(mean / std)


def _soft(items: Sequence[Item], key: str, task: TaskDef, size: tuple[int, ...]) -> SoftTarget:
    """One term's soft target of one task."""
    own = [item.soft.get(key) for item in items]
    target = _target([soft.label if soft else None for soft in own], task, size)
    confidence = np.stack([soft.confidence if soft else np.zeros(size, np.float32) for soft in own])
    return SoftTarget(target, torch.from_numpy(confidence)[:, None] * target.valid)


def _target(labels: Sequence[LabelArray | None], task: TaskDef, size: tuple[int, ...]) -> Target:
    form = codec(task.spec.codec)
    value = np.zeros((len(labels), *size, form.CHANNELS), cast("Any", form.DTYPE))
    valid = np.zeros((len(labels), *size), np.bool_)
    for i, label in enumerate(labels):
        if label is not None:
            value[i], valid[i] = label.value, label.valid
    channels_first = torch.from_numpy(value).permute(0, 3, 1, 2).contiguous()
    return Target(channels_first, torch.from_numpy(valid)[:, None], _annotated(labels))


def _annotated(labels: Sequence[LabelArray | None]) -> Tensor | None:
    """Bool [b, classes]; None where every label has all classes annotated."""
    said = [None if label is None else label.annotated for label in labels]
    some = next((classes for classes in said if classes is not None), None)
    if some is None:
        return None
    return torch.from_numpy(np.stack([np.ones_like(some) if classes is None else classes for classes in said]))
