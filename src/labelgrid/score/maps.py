"""Averages measures of several predictions over the pixels of an image, in bounded memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import Floats
from labelgrid.data.frame import Frame, content_means, resize_to_original
from labelgrid.nets.network import Raw
from labelgrid.pixel.class_confidence import least_confidence, margin
from labelgrid.pixel.target import TensorMap
from labelgrid.pixel.uncertainty import Information, MeanMeasure, Moments, Spread
from labelgrid.score.measure_choices import At, Measure
from labelgrid.tasks.task import Task, Tasks

#: The largest number of values of one task's map in memory at original size; the number of them
#: that a CPU processes at a time, chosen to fit its cache; and that of small images, of which as
#: many fit a core's own cache.
STRIP = 2**22
CACHED = 2**20
NEAR = 2**18
#: Creates the accumulator of a task's predictions.
MakeMoments = Callable[[Task], Moments]


class Passes(Protocol):
    """Several predictions of the same batch, as raw outputs [b, c, h', w'] by task."""

    def __iter__(self) -> Iterator[Raw]:
        """Run the passes in turn, the same each time."""

    def only(self, rows: Sequence[int]) -> "Passes":
        """The passes over some images of the batch."""


@dataclass(frozen=True)
class Outputs:
    """The raw outputs of finished passes."""

    raws: Sequence[Raw]

    def __iter__(self) -> Iterator[Raw]:
        return iter(self.raws)

    def only(self, rows: Sequence[int]) -> "Outputs":
        """The outputs of some images of the batch."""
        chosen = torch.tensor(rows)
        return Outputs([_rows_of(raws, chosen) for raws in self.raws])


def _rows_of(raws: Raw, rows: Tensor) -> Raw:
    return {name: raw[rows] for name, raw in raws.items()}


def information(task: Task) -> Moments:
    """Collect the mutual information of probabilities, or the variance of values."""
    return Information(task.probabilities) if task.probabilities else Spread()


def measure_of_mean(measure: TensorMap) -> MakeMoments:
    """Collect a measure of the mean class probabilities, or the variance of values."""

    def make(task: Task) -> Moments:
        if task.probabilities:
            return MeanMeasure(task.probabilities, measure)
        return Spread()

    return make


#: The accumulator of each measure.
MOMENTS: Mapping[Measure, MakeMoments] = {
    "entropy": lambda task: task.moments(),
    "information": information,
    "least_confidence": measure_of_mean(least_confidence),
    "margin": measure_of_mean(margin),
}


def image_means(
    passes: Passes, tasks: Tasks, frames: Sequence[Frame], make: MakeMoments, at: At
) -> Floats:
    """The means [b, t] of a measure of the passes over each image's pixels.

    Values are collected pass by pass in the accumulators that `make` creates. Small images of one
    frame are processed together, large ones alone and in strips of rows, so memory grows neither
    with the number of passes nor with the pool.
    """
    if at == "head":
        maps = head_maps(passes, tasks, make).values()
        return np.stack([content_means(part[:, None], frames).cpu().numpy() for part in maps], 1)
    if at == "half":
        frames = [halve_frame(frame) for frame in frames]
    means = np.zeros((len(frames), len(tasks)))
    for rows in _alike(frames, max(task.channels for task in tasks.values())):
        chosen = passes if len(rows) == len(frames) else passes.only(rows)
        means[rows] = _original_means(chosen, tasks, [frames[row] for row in rows], make)
    return means


def _alike(frames: Sequence[Frame], channels: int) -> Iterator[list[int]]:
    """Yield positions of images with the same frame, of `CACHED` values together or of one image.

    So an image is cut into the same strips alone and beside others, and its values are bitwise the
    same.
    """
    groups: dict[str, list[int]] = {}
    for position, frame in enumerate(frames):
        groups.setdefault(str(frame), []).append(position)  # a slice has no hash
    for positions in groups.values():
        height, width = frames[positions[0]].original
        most = max(1, CACHED // (channels * height * width))
        for start in range(0, len(positions), most):
            yield positions[start : start + most]


def head_maps(passes: Passes, tasks: Tasks, make: MakeMoments) -> dict[str, Tensor]:
    """Maps [b, h', w'] at the heads' resolution, by task."""
    moments = {name: make(task) for name, task in tasks.items()}
    for raws in passes:
        for name, raw in raws.items():
            moments[name].update(tasks[name].activate(raw))
    return {name: moment.uncertainty()[:, 0] for name, moment in moments.items()}


def halve_frame(frame: Frame) -> Frame:
    """The frame of the same image at half its size in the network, no larger than the image.

    Example:
        >>> halve_frame(Frame((480, 640), (96, 96), (slice(12, 84), slice(0, 96)))).original
        (36, 48)
    """
    rows, columns = (
        min(side, max(1, (part.stop - part.start) // 2))
        for side, part in zip(frame.original, frame.content, strict=True)
    )
    return replace(frame, original=(rows, columns))


def _original_means(
    passes: Passes, tasks: Tasks, frames: Sequence[Frame], make: MakeMoments
) -> Floats:
    height, width = frames[0].original
    row_values = max(task.channels for task in tasks.values()) * width * len(frames)
    totals = np.zeros((len(frames), len(tasks)))
    for rows in _cut(slice(0, height), STRIP, row_values):
        maps = _original_maps(passes, tasks, frame=frames[0], rows=rows, make=make)
        for column, of_images in enumerate(maps.values()):
            # Each map is summed alone: the order of additions does not depend on the batch.
            totals[:, column] += [float(part.double().sum()) for part in of_images]
    return totals / (height * width)


def _original_maps(
    passes: Passes, tasks: Tasks, frame: Frame, rows: slice, make: MakeMoments
) -> dict[str, Tensor]:
    width = frame.original[1]
    blocks: dict[str, list[PixelBlock]] = {name: [] for name in tasks}
    for raws in passes:
        for name, task in tasks.items():
            raw = raws[name]
            row_values = task.channels * width
            if not blocks[name]:
                limit = STRIP if raw.is_cuda else CACHED
                cut = _cut(rows, limit, row_values * len(raw))
                near = limit if raw.is_cuda else NEAR
                images = _cut(slice(0, len(raw)), near, row_values * (rows.stop - rows.start))
                blocks[name] = [PixelBlock(*pair, make(task)) for pair in product(images, [*cut])]
            for block in blocks[name]:
                part = resize_to_original(raw[block.images], frame, block.rows)
                block.moments.update(task.activate(part))
    return {name: _joined(parts) for name, parts in blocks.items()}


class PixelBlock(NamedTuple):
    """Some rows of some images, and the predictions collected there."""

    images: slice
    rows: slice
    moments: Moments


def _joined(blocks: Sequence[PixelBlock]) -> Tensor:
    """The maps [b, rows, width] of all blocks, which are ordered by images, then by rows."""
    strips: dict[int, list[Tensor]] = {}
    for block in blocks:
        strips.setdefault(block.images.start, []).append(block.moments.uncertainty()[:, 0])
    return torch.cat([torch.cat(maps, 1) for maps in strips.values()])


def _cut(rows: slice, limit: int, row_values: int) -> Iterator[slice]:
    """Split rows of `row_values` values into strips of at most `limit` values, or of one row."""
    step = max(1, limit // row_values)
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))
