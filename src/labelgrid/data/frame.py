"""Maps between an original image and a network's input.

Outputs are resized to the original's size, labels to the input's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from labelgrid.basics.type_names import Size
from labelgrid.data.transforms import place_label
from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.target import Target
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef

#: Runs of fewer rows than this, on average, are interpolated at once: each run costs a few calls.
SHORT = 8
#: Pixels of the original along one axis: a range, or ascending numbers.
Pixels = slice | Tensor


class Neighbours(NamedTuple):
    """The two positions on an output's axis around each of some pixels.

    `weight` is the weight of the second position.
    """

    low: Tensor
    high: Tensor
    weight: Tensor

    def of(self, pixels: Tensor) -> "Neighbours":
        """The neighbours of some of the pixels, in any shape."""
        return Neighbours(self.low[pixels], self.high[pixels], self.weight[pixels])


@dataclass(frozen=True)
class Frame:
    """The position of a whole original image in a network's input.

    The image is stretched over the box `content`.

    Args:
        original: the image's height and width.
        input: the height and width of the network's input.
        content: the rows and columns of the input that show the image; the rest is padding.
    """

    original: Size
    input: Size
    content: tuple[slice, slice]

    @classmethod
    def of(cls, original: Size, placement: Placement) -> "Frame":
        """The frame of a whole image that was placed as by `transforms.fit_placement`."""
        return cls(original, placement.canvas, placement.target)

    def box(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of a map [height, width] over the input that show the image.

        At least one pixel each.

        Example:
            >>> Frame((480, 640), (96, 96), (slice(12, 84), slice(0, 96))).box(24, 24)
            (slice(3, 21, None), slice(0, 24, None))
        """
        rows = _scale(self.content[0], self.input[0], height)
        columns = _scale(self.content[1], self.input[1], width)
        return rows, columns


def _scale(content: slice, size: int, length: int) -> slice:
    """A range of `size` pixels as a range, not empty, of `length` pixels."""
    start = min(round(content.start * length / size), length - 1)
    return slice(start, max(round(content.stop * length / size), start + 1))


def contents(maps: Tensor, frames: Sequence[Frame]) -> Iterator[Tensor]:
    """The part [c, h', w'] of each of the maps [b, c, h, w] that shows the image."""
    height, width = maps.shape[-2:]
    for x, frame in zip(maps, frames, strict=True):
        rows, columns = frame.box(height, width)
        yield x[:, rows, columns]


def content_means(maps: Tensor, frames: Sequence[Frame]) -> Tensor:
    """The means [b], float64, of maps [b, 1, h, w] over the part that shows the image.

    An image without labels has no mask: every pixel of it counts (PartAL, appendix A.1.2).

    Example:
        >>> frame = Frame((480, 640), (4, 4), (slice(0, 2), slice(0, 4)))
        >>> content_means(torch.arange(16.0).view(1, 1, 4, 4), [frame])
        tensor([3.5000], dtype=torch.float64)
    """
    return torch.stack([part.double().mean() for part in contents(maps, frames)])


def resize_to_original(
    raw: Tensor, frame: Frame, rows: Pixels | None = None, columns: Pixels | None = None
) -> Tensor:
    """Resize a network's output [..., h', w'] to the original image's pixels [..., H, W].

    Bilinearly and in one step: the result equals `torch.nn.functional.interpolate(mode="bilinear",
    align_corners=False)` from the heads' resolution directly to the original's. Parts may be
    requested, to bound the memory for large images; a part is bitwise equal to the same pixels of
    the whole result.

    Args:
        raw: an output over the whole input, at any resolution.
        frame: the frame of the input.
        rows: rows of the original, a range or ascending numbers; all by default.
        columns: its columns, in the same way.
    """
    low, high, weight = neighbours(frame, 1, columns, raw)
    top, bottom, down = neighbours(frame, 0, rows, raw.mT)
    first = int(top[0])
    used = raw[..., first : int(bottom[-1]) + 1, :]
    left = used.gather(-1, low.expand(*used.shape[:-1], -1))
    right = used.gather(-1, high.expand(*used.shape[:-1], -1))
    wide = (left * (1 - weight)).add_(right * weight)
    above = top - first
    below = bottom - first
    # Where runs of rows between the same two rows are short, and on a GPU, all are made at once.
    ends = [] if wide.is_cuda else (above.diff().nonzero().flatten() + 1).tolist()
    if wide.is_cuda or SHORT * len(ends) > len(top):
        upper = wide.index_select(-2, above)
        lower = wide.index_select(-2, below)
        return upper.addcmul_(lower.sub_(upper), down[:, None])
    out = wide.new_empty((*wide.shape[:-2], len(top), len(low)))
    for start, stop in pairwise([0, *ends, len(top)]):
        upper = wide[..., int(above[start]), None, :]
        lower = wide[..., int(below[start]), None, :]
        out[..., start:stop, :] = torch.addcmul(upper, lower - upper, down[start:stop, None])
    return out


def interpolation_window(raw: Tensor, frame: Frame, rows: slice, columns: slice) -> Tensor:
    """The values of an output [..., h', w'] behind some pixels of `resize_to_original`."""
    top, bottom, _ = neighbours(frame, 0, rows, raw.mT)
    left, right, _ = neighbours(frame, 1, columns, raw)
    return raw[..., int(top[0]) : int(bottom[-1]) + 1, int(left[0]) : int(right[-1]) + 1]


def to_patches(raw: Tensor, channels: Tensor, down: Neighbours, across: Neighbours) -> Tensor:
    """Some channels [n, k] of an output [c, h', w'] at n patches of pixels: [n, k, height, width].

    Bitwise equal to the same pixels of `resize_to_original`.

    Args:
        raw: the output.
        channels: the channels of each patch.
        down: the neighbours of the patches' rows [n, height]: the same two for all rows of a patch.
        across: the neighbours of the patches' columns [n, width]: the same two for all columns of a
            patch.
    """
    weight = across.weight[:, None]
    lines = []
    for row in (down.low, down.high):
        left = raw[channels, row[:, :1], across.low[:, :1], None]
        right = raw[channels, row[:, :1], across.high[:, :1], None]
        lines.append((left * (1 - weight) + right * weight)[:, :, None])
    return torch.addcmul(lines[0], lines[1] - lines[0], down.weight[:, None, :, None])


def neighbours(frame: Frame, axis: int, part: Pixels | None, raw: Tensor) -> Neighbours:
    """The neighbours of original pixels along the last axis of `raw`.

    Args:
        frame: the frame of the input.
        axis: the axis of the original: 0 for rows, 1 for columns.
        part: the pixels along this axis; all by default.
        raw: the output; its last axis is the one meant.
    """
    original = frame.original[axis]
    content = frame.content[axis]
    size = frame.input[axis]
    length = raw.shape[-1]
    if isinstance(part, Tensor):
        pixels = part.cpu()
    else:
        pixels = torch.arange(*(part or slice(None)).indices(original))
    on_input = content.start + (pixels.double() + 0.5) * ((content.stop - content.start) / original)
    position = (on_input * (length / size) - 0.5).clamp(0, length - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=length - 1)
    # Half precision is too coarse.
    weight = (position - low).to(torch.promote_types(raw.dtype, torch.float32))
    return Neighbours(low.to(raw.device), high.to(raw.device), weight.to(raw.device))


def on_input(label: LabelArray, frame: Frame, task: TaskDef) -> LabelArray:
    """Place a label at original size on the network's input.

    A network accepts its `target_of` as a known label.
    """
    height, width = frame.original
    whole = Placement(
        source=(slice(0, height), slice(0, width)), target=frame.content, canvas=frame.input
    )
    return place_label(label, whole, task)


def target_of(label: LabelArray, rows: slice | None = None) -> Target:
    """Convert a label, or some rows of it, to a target [1, c, h, w]."""
    rows = rows or slice(None)
    value = torch.from_numpy(label.value[rows]).permute(2, 0, 1)[None].contiguous()
    valid = torch.from_numpy(label.valid[rows])[None, None]
    annotated = None
    if label.annotated is not None:
        annotated = torch.from_numpy(label.annotated)[None]
    return Target(value, valid, annotated)


def label_of(target: Target, image: int = 0) -> LabelArray:
    """Convert an image of a target to a label in NumPy, which a format can write."""
    value = target.value[image].movedim(0, 2).contiguous()
    valid = target.valid[image, 0]
    annotated = None
    if target.annotated is not None:
        annotated = target.annotated[image].cpu().numpy()
    return LabelArray(value.cpu().numpy(), valid.cpu().numpy(), annotated)
