"""Crops and mirrors the images, labels and predictions of a batch, each image by its own draws from a term's stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.data.batch import Batch
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task
from labelgrid.train.draws import Draws

Size = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, maps: Tensor) -> Tensor:
        """This part of maps [..., h, w]."""
        return maps[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def zoom(self, size: Size) -> float:
        """How much larger objects look in the box at this size: the mean of both sides."""
        return (size[0] / self.height + size[1] / self.width) / 2


def draw_boxes(draws: Draws, ids: Sequence[str], size: Size, zooms: Sequence[float]) -> list[Box]:
    """A box for each image, of the image's size divided by one of the zooms, anywhere in it.

    Each image's box has its own stream.

    Args:
        draws: of the view.
        ids: the images' ids.
        size: height and width of the images.
        zooms: at least 1 each; all are equally likely.
    """
    return [_draw_box(draws.generator("crop", image_id), size, zooms) for image_id in ids]


def _draw_box(generator: torch.Generator, size: Size, zooms: Sequence[float]) -> Box:
    zoom = zooms[int(torch.randint(len(zooms), (), generator=generator))]
    height, width = (max(1, round(side / zoom)) for side in size)
    top, left = (
        int(torch.randint(side - part + 1, (), generator=generator))
        for side, part in zip(size, (height, width), strict=True)
    )
    return Box(top, left, height, width)


def mirror_some(batch: Batch, tasks: Mapping[str, Task], draws: Draws, share: float) -> Batch:
    """Mirror each image and its targets from left to right, with the probability `share`.

    Label values change as a mirror changes them (the x of normals is negated). Targets of other
    tasks than `tasks`, soft targets and frames are left out.
    """
    chosen = [
        bool(torch.rand((), generator=one) < share) for one in draws.by_image(batch.ids, "flip")
    ]
    if not any(chosen):
        return batch
    rows = torch.tensor(chosen, device=batch.images.device).view(-1, 1, 1, 1)
    images = torch.where(rows, batch.images.flip(-1), batch.images)
    targets = {
        name: _mirrored_target(task, batch.targets[name], rows) for name, task in tasks.items()
    }
    return replace(batch, images=images, targets=targets, soft={}, frames=())


def _mirrored_target(task: Task, target: Target, rows: Tensor) -> Target:
    mirrored = target.value.flip(-1)
    if mirrored.is_floating_point():
        mirrored = task.scale.mirrored(mirrored)
    value = torch.where(rows, mirrored, target.value)
    valid = torch.where(rows, target.valid.flip(-1), target.valid)
    return replace(target, value=value, valid=valid)


def crop_batch(batch: Batch, tasks: Mapping[str, Task], boxes: Sequence[Box], size: Size) -> Batch:
    """The boxes of a batch's images and targets, resized to `size`: images linearly, labels to the nearest pixel.

    Label values change as a zoom changes them (depth is divided by it). Targets of other tasks than
    `tasks`, soft targets and frames are left out.
    """
    targets = {
        name: _cropped_target(task, batch.targets[name], boxes, size)
        for name, task in tasks.items()
    }
    return replace(
        batch, images=crop_maps(batch.images, boxes, size), targets=targets, soft={}, frames=()
    )


def crop_maps(maps: Tensor, boxes: Sequence[Box], size: Size) -> Tensor:
    """The boxes of maps [b, c, h, w], in pixels of these maps, resized linearly: [b, c, *size].

    Example:
        >>> cropped_maps(torch.arange(4.0).view(1, 1, 2, 2), [Box(1, 0, 1, 2)], (1, 2)).flatten()
        tensor([2., 3.])
    """
    parts = [box.of(one[None]) for box, one in zip(boxes, maps, strict=True)]
    return torch.cat([part if part.shape[-2:] == size else _resized(part, size) for part in parts])


def _resized(part: Tensor, size: Size) -> Tensor:
    return functional.interpolate(part, size=size, mode="bilinear", align_corners=False)


def crop_prediction(task: Task, prediction: Tensor, boxes: Sequence[Box], size: Size) -> Tensor:
    """The boxes of predictions [b, channels, h, w], in pixels of these, as predictions of the resized crops."""
    return task.from_mean(
        task.scale.zoomed(crop_maps(prediction, boxes, size), _zooms(boxes, size, prediction))
    )


def _zooms(boxes: Sequence[Box], size: Size, like: Tensor) -> Tensor:
    zooms = [box.zoom(size) for box in boxes]
    return torch.tensor(zooms, device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)


def _cropped_target(task: Task, target: Target, boxes: Sequence[Box], size: Size) -> Target:
    value, valid = (_nearest(part, boxes, size) for part in (target.value, target.valid))
    if value.is_floating_point():
        value = task.scale.zoomed(value, _zooms(boxes, size, value))
    return replace(target, value=value, valid=valid)


def _nearest(maps: Tensor, boxes: Sequence[Box], size: Size) -> Tensor:
    """The boxes of maps [b, c, h, w] at `size`: the pixel whose square holds each new pixel's centre."""
    parts = []
    for box, one in zip(boxes, maps, strict=True):
        rows, columns = (
            start + (2 * torch.arange(count, device=maps.device) + 1) * length // (2 * count)
            for start, length, count in zip(
                (box.top, box.left), (box.height, box.width), size, strict=True
            )
        )
        parts.append(one[:, rows[:, None], columns])
    return torch.stack(parts)
