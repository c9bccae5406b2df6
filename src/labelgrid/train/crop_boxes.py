"""Crops and mirrors the images, labels and predictions of a batch, each image by its own draws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.basics.type_names import Size
from labelgrid.data.batch import Batch
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task, Tasks
from labelgrid.train.step_draws import Draws


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, maps: Tensor) -> Tensor:
        """Return this part of maps [..., h, w]."""
        return maps[..., self.top : self.top + self.height, self.left : self.left + self.width]

    def zoom(self, size: Size) -> float:
        """Return how much larger objects look in the box at a size: the mean of both sides."""
        return (size[0] / self.height + size[1] / self.width) / 2


def draw_boxes(draws: Draws, ids: Sequence[str], size: Size, zooms: Sequence[float]) -> list[Box]:
    """Draw a box anywhere in each image, of the size of the image divided by a drawn zoom.

    Each image has a stream of its own.

    Args:
        draws: the draws of the view.
        ids: the images' ids.
        size: height and width of the images.
        zooms: the zooms, at least 1 and equally likely.
    """
    boxes = []
    for image_id in ids:
        generator = draws.generator("crop", image_id)
        zoom = zooms[int(torch.randint(len(zooms), (), generator=generator))]
        height = max(1, round(size[0] / zoom))
        width = max(1, round(size[1] / zoom))
        top = int(torch.randint(size[0] - height + 1, (), generator=generator))
        left = int(torch.randint(size[1] - width + 1, (), generator=generator))
        boxes.append(Box(top, left, height, width))
    return boxes


def mirror_some(batch: Batch, tasks: Tasks, draws: Draws, probability: float) -> Batch:
    """Mirror each image and its targets from left to right with a probability.

    Label values change as a mirror changes them (the x of normals is negated). Targets of other
    tasks than `tasks`, soft targets, frames and cameras are left out.
    """
    chosen = []
    for one in draws.by_image(batch.ids, "flip"):
        is_flipped = bool(torch.rand((), generator=one) < probability)
        chosen.append(is_flipped)
    if not any(chosen):
        return batch
    rows = torch.tensor(chosen, device=batch.images.device).view(-1, 1, 1, 1)
    images = torch.where(rows, batch.images.flip(-1), batch.images)
    targets = {}
    for name, task in tasks.items():
        target = batch.targets[name]
        mirrored = mirror_target(task, target)
        value = torch.where(rows, mirrored.value, target.value)
        valid = torch.where(rows, mirrored.valid, target.valid)
        targets[name] = replace(target, value=value, valid=valid)
    return replace(
        batch, images=images, targets=targets, soft={}, supplied={}, frames=(), camera=None
    )


def mirror_target(task: Task, target: Target) -> Target:
    """Mirror a target from left to right, and change its values as a mirror does."""
    value = target.value.flip(-1)
    if value.is_floating_point():
        value = task.scale.mirrored(value)
    return replace(target, value=value, valid=target.valid.flip(-1))


def crop_at_random(batch: Batch, tasks: Tasks, draws: Draws, zooms: Sequence[float]) -> Batch:
    """Crop a batch to the boxes of `draw_boxes`, and resize the crops to the batch's size."""
    boxes = draw_boxes(draws, batch.ids, batch.image_size, zooms)
    return crop_batch(batch, tasks, boxes, batch.image_size)


def crop_batch(batch: Batch, tasks: Tasks, boxes: Sequence[Box], size: Size) -> Batch:
    """Crop a batch's images and targets to the boxes, and resize them to `size`.

    Images are resized linearly, labels to the nearest pixel. Label values change as a zoom changes
    them (depth is divided by it). Targets of other tasks than `tasks`, soft targets, frames and
    cameras are left out.
    """
    targets = {}
    for name, task in tasks.items():
        target = batch.targets[name]
        value = _crop_to_nearest(target.value, boxes, size)
        if value.is_floating_point():
            value = task.scale.zoomed(value, _zooms(boxes, size, value))
        valid = _crop_to_nearest(target.valid, boxes, size)
        targets[name] = replace(target, value=value, valid=valid)
    images = crop_maps(batch.images, boxes, size)
    return replace(
        batch, images=images, targets=targets, soft={}, supplied={}, frames=(), camera=None
    )


def crop_maps(maps: Tensor, boxes: Sequence[Box], size: Size) -> Tensor:
    """Crop maps [b, c, h, w] to boxes in pixels, and resize the crops linearly: [b, c, *size].

    Example:
        >>> crop_maps(torch.arange(4.0).view(1, 1, 2, 2), [Box(1, 0, 1, 2)], (1, 2)).flatten()
        tensor([2., 3.])
    """
    crops = []
    for box, its_map in zip(boxes, maps, strict=True):
        part = box.cut(its_map[None])
        if part.shape[-2:] != size:
            part = functional.interpolate(part, size=size, mode="bilinear", align_corners=False)
        crops.append(part)
    return torch.cat(crops)


def crop_prediction(task: Task, prediction: Tensor, boxes: Sequence[Box], size: Size) -> Tensor:
    """Crop predictions [b, channels, h, w] to boxes in pixels, as predictions of the crops."""
    crops = crop_maps(prediction, boxes, size)
    return task.from_mean(task.scale.zoomed(crops, _zooms(boxes, size, prediction)))


def _zooms(boxes: Sequence[Box], size: Size, like: Tensor) -> Tensor:
    zooms = [box.zoom(size) for box in boxes]
    return torch.tensor(zooms, device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)


def _crop_to_nearest(maps: Tensor, boxes: Sequence[Box], size: Size) -> Tensor:
    crops = []
    for box, its_map in zip(boxes, maps, strict=True):
        rows = _nearest_places(box.top, box.height, size[0], maps.device)
        columns = _nearest_places(box.left, box.width, size[1], maps.device)
        crops.append(its_map[:, rows[:, None], columns])
    return torch.stack(crops)


def _nearest_places(start: int, length: int, count: int, device: torch.device) -> Tensor:
    """Return the pixels of a side of a box whose squares hold the centres of `count` new pixels."""
    return start + (2 * torch.arange(count, device=device) + 1) * length // (2 * count)
