"""Defines batches of images, targets and weights as tensors, and collates items into batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import Frame
from labelgrid.data.transforms import DataOptions
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class SoftLabel:
    """A label that no annotator gave (a pseudo-label), at image size, with its confidence [h, w] in 0..1 by pixel."""

    label: LabelArray
    confidence: NDArray[np.float32]


#: Reads the soft label of an image and a task; None if there is none.
SoftLabels = Callable[[str, TaskDef], SoftLabel | None]


@dataclass(frozen=True)
class SoftTarget:
    """The soft labels of a batch: a target [b, c, h, w], and its confidence, float32 [b, 1, h, w], 0 where invalid."""

    target: Target
    confidence: Tensor

    def to(self, device: torch.device | str) -> "SoftTarget":
        """The target on another device."""
        return SoftTarget(self.target.to(device), self.confidence.to(device, non_blocking=True))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Several images of one size, with their targets.

    Args:
        ids: b image ids.
        images: float32 [b, 3, h, w], normalised.
        targets: by task, a target [b, c, h, w]; a missing label has no valid pixel.
        weights: the weight of each cell's label in training, float32 [b, t], in the order of the
            tasks.
        frames: the b frames of whole images; empty in training.
        soft: in training, soft targets by term and task, for the terms that read soft labels.
        known: in training, by task, the labels that the network gets as known labels; empty: none.
    """

    ids: tuple[str, ...]
    images: Tensor
    targets: Mapping[str, Target]
    weights: Tensor
    frames: tuple[Frame, ...] = ()
    soft: Mapping[str, Mapping[str, SoftTarget]] = field(default_factory=dict)
    known: Mapping[str, Target] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        targets = {name: target.to(device) for name, target in self.targets.items()}
        images = self.images.to(device, non_blocking=True)
        weights = self.weights.to(device, non_blocking=True)
        soft = {
            term: {name: target.to(device) for name, target in group.items()}
            for term, group in self.soft.items()
        }
        return replace(self, images=images, targets=targets, weights=weights, soft=soft)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image before it is collated into a batch.

    Args:
        id: the image id.
        image: RGB, uint8 [h, w, 3].
        labels: by task.
        weights: of its cells, in the order of the tasks.
        frame: its frame, if it is a whole image.
        soft: its soft labels, by `term/task`.
    """

    id: str
    image: NDArray[np.uint8]
    labels: Mapping[str, LabelArray]
    weights: Sequence[float] = ()
    frame: Frame | None = None
    soft: Mapping[str, SoftLabel] = field(default_factory=dict)


def collate(
    items: Sequence[Item],
    tasks: Mapping[str, TaskDef],
    options: DataOptions,
    terms: Sequence[str] = (),
) -> Batch:
    """Collate items of one size into a batch, with soft targets of `terms`.

    A missing label is 0 and nowhere valid.
    """
    size = items[0].image.shape[:2]
    return Batch(
        ids=tuple(item.id for item in items),
        images=normalise_images(np.stack([item.image for item in items]), options),
        targets={
            name: _target([item.labels.get(name) for item in items], task, size)
            for name, task in tasks.items()
        },
        weights=torch.tensor([list(item.weights) for item in items], dtype=torch.float32),
        frames=tuple(item.frame for item in items if item.frame),
        soft={
            term: {name: _soft(items, f"{term}/{name}", task, size) for name, task in tasks.items()}
            for term in terms
        },
    )


def network_inputs(batches: Sequence[Batch]) -> tuple[Tensor, dict[str, Target] | None]:
    """The images of all batches in one tensor, and their known labels; None if no batch has any.

    A batch without known labels beside one with some gets targets that are nowhere valid. All have
    the first's tasks.
    """
    images = torch.cat([one.images for one in batches])
    if not any(one.known for one in batches):
        return images, None
    known = {
        name: [one.known.get(name, _absent(one.targets[name])) for one in batches]
        for name in batches[0].targets
    }
    return images, {name: Target.cat(parts) for name, parts in known.items()}


def _absent(target: Target) -> Target:
    """A target of the same shape that is nowhere valid."""
    return target.where(torch.zeros_like(target.present))


def normalise_images(images: NDArray[np.uint8], options: DataOptions) -> Tensor:
    """Convert RGB, uint8 [b, h, w, 3], to a network's input, float32 [b, 3, h, w]: (image / 255 - mean) / std.

    Example:
        >>> normalised(np.zeros((1, 2, 2, 3), np.uint8), DataOptions(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))).max()
        tensor(-1.)
    """
    pixels = (
        torch.from_numpy(images)
        .permute(0, 3, 1, 2)
        .to(torch.float32, memory_format=torch.contiguous_format)
    )
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (options.mean, options.std))
    return pixels.mul_(1 / (255 * std)).sub_(mean / std)


def _soft(items: Sequence[Item], key: str, task: TaskDef, size: tuple[int, ...]) -> SoftTarget:
    """The soft target of one term and task."""
    softs = [item.soft.get(key) for item in items]
    target = _target([soft.label if soft else None for soft in softs], task, size)
    confidence = np.stack(
        [soft.confidence if soft else np.zeros(size, np.float32) for soft in softs]
    )
    return SoftTarget(target, torch.from_numpy(confidence)[:, None] * target.valid)


def _target(labels: Sequence[LabelArray | None], task: TaskDef, size: tuple[int, ...]) -> Target:
    label_format = codec(task.spec.codec)
    value = np.zeros((len(labels), *size, label_format.CHANNELS), cast("Any", label_format.DTYPE))
    valid = np.zeros((len(labels), *size), np.bool_)
    for i, label in enumerate(labels):
        if label is not None:
            value[i] = label.value
            valid[i] = label.valid
    channels_first = torch.from_numpy(value).permute(0, 3, 1, 2).contiguous()
    return Target(channels_first, torch.from_numpy(valid)[:, None], _annotated(labels))


def _annotated(labels: Sequence[LabelArray | None]) -> Tensor | None:
    """The mask of annotated classes, bool [b, classes].

    None if every label has all classes annotated.
    """
    masks = [None if label is None else label.annotated for label in labels]
    first = next((mask for mask in masks if mask is not None), None)
    if first is None:
        return None
    return torch.from_numpy(
        np.stack([np.ones_like(first) if mask is None else mask for mask in masks])
    )
