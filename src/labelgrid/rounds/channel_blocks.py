"""Finds the largest channel of every pixel of an original image, block by block.

Between four neighbouring values of a network's output the interpolation is bilinear. So a channel
that another channel exceeds at the four corners of a block of pixels is exceeded everywhere in the
block. Most blocks keep one channel, and need no more work.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import Ints
from labelgrid.data.frame import Frame, Neighbours, neighbours, resize_to_original, to_patches
from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.prediction import contenders, first_argmax

#: The longest side of a block in pixels.
SIDE = 24
#: With fewer pixels a block, on average, its corners cost as much as its pixels.
FEWEST = 8
#: The number of values that are interpolated at once; they fit a processor's cache.
VALUES = 2**18
#: Larger values could overflow when they are interpolated.
LARGE = 1e30


@dataclass(frozen=True)
class Axis:
    """The blocks along one axis of the original.

    Args:
        start, stop: the first pixel of each block, and the one after its last.
        near: the neighbours of all pixels of the axis.
    """

    start: Tensor
    stop: Tensor
    near: Neighbours

    @classmethod
    def of(cls, near: Neighbours) -> "Axis":
        """Split the pixels where their neighbours change, and into at most `SIDE` pixels."""
        changes = (near.low.diff().nonzero().flatten() + 1).tolist()
        starts = []
        for start, stop in pairwise([0, *changes, len(near.low)]):
            parts = -(-(stop - start) // SIDE)
            starts += [start + (stop - start) * i // parts for i in range(parts)]
        edges = torch.tensor([*starts, len(near.low)], device=near.low.device)
        return cls(edges[:-1], edges[1:], near)

    @property
    def longest(self) -> int:
        """The number of pixels of the longest block."""
        return int((self.stop - self.start).max())

    def pixels(self, blocks: Tensor) -> Tensor:
        """The pixels [n, side] of blocks [n]; a shorter block repeats the last pixel."""
        side = torch.arange(self.longest, device=blocks.device)
        return torch.minimum(self.start[blocks, None] + side, self.stop[blocks, None] - 1)


def class_map(raw: Tensor, frame: Frame) -> LabelArray | None:
    """The index of the largest channel of an output [c, h', w'] at every original pixel.

    Where several are equal, the first counts. Equals `class_target` of all values that
    `to_original` gives. None if the blocks are so small that they save nothing, or if a value is
    not finite.

    Example:
        >>> frame = Frame((16, 32), (2, 2), (slice(0, 2), slice(0, 2)))
        >>> class_map(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]), frame).value[0, ::6, 0]
        array([0, 0, 0, 1, 1, 1])
    """
    rows = Axis.of(neighbours(frame, 0, None, raw.mT))
    columns = Axis.of(neighbours(frame, 1, None, raw))
    largest = float(raw.abs().amax())
    blocks = len(rows.start) * len(columns.start)
    height, width = frame.original
    if FEWEST * blocks > height * width or not largest < LARGE:
        return None
    value = np.empty((height, width), np.int64)
    step = max(1, VALUES // (len(raw) * len(columns.start)))
    for first in range(0, len(rows.start), step):  # in bands: memory does not grow with the image
        some = slice(first, first + step)
        band = Axis(rows.start[some], rows.stop[some], rows.near)
        contending = contenders(_corners(raw, frame, band, columns), largest)
        _fill(value, contending, band, columns)
        _solve(value, raw, contending=contending, rows=band, columns=columns)
    return LabelArray(value[..., None], np.ones((height, width), np.bool_))


def _corners(raw: Tensor, frame: Frame, rows: Axis, columns: Axis) -> Tensor:
    corners = []
    for down in (rows.start, rows.stop - 1):
        for across in (columns.start, columns.stop - 1):
            values = resize_to_original(raw, frame, down, across)
            corners.append(values.flatten(1))
    return torch.stack(corners)


def _fill(value: Ints, contending: Tensor, rows: Axis, columns: Axis) -> None:
    """Write the first possible channel of each block; most blocks have no second one."""
    channels = contending.to(torch.uint8).argmax(0)
    first = channels.view(len(rows.start), len(columns.start)).cpu().numpy()
    heights = (rows.stop - rows.start).cpu().numpy()
    widths = (columns.stop - columns.start).cpu().numpy()
    value[int(rows.start[0]) : int(rows.stop[-1])] = first.repeat(widths, 1).repeat(heights, 0)


def _solve(value: Ints, raw: Tensor, contending: Tensor, rows: Axis, columns: Axis) -> None:
    """Write the labels of the blocks with several possible channels, by their number."""
    counts = contending.sum(0)
    for count in sorted(set(counts.tolist()) - {1}):
        few = max(1, VALUES // (count * rows.longest * columns.longest))
        for blocks in (counts == count).nonzero().flatten().split(few):
            channels = contending[:, blocks].T.nonzero()[:, 1].view(-1, count)
            down = rows.pixels(blocks // len(columns.start))
            across = columns.pixels(blocks % len(columns.start))
            values = to_patches(raw, channels, rows.near.of(down), columns.near.of(across))
            largest = first_argmax(values.float())[:, 0]
            labels = channels.gather(1, largest.flatten(1)).view_as(largest)
            places = (down.cpu().numpy()[:, :, None], across.cpu().numpy()[:, None])
            value[places] = labels.cpu().numpy()
