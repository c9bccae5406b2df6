"""How a network's input lies over the original image, and how its outputs get back to the original's pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from labelgrid.data.transforms import place_label
from labelgrid.labels.codec import LabelArray
from labelgrid.pixel.target import Target
from labelgrid.tasks.placement import Placement, Size
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Frame:
    """The whole of an original image, stretched over the `content` box of an input.

    Args:
        original: height and width of the image.
        input: height and width of the network's input.
        content: rows and columns of the input that show the image; the rest is padding.
    """

    original: Size
    input: Size
    content: tuple[slice, slice]

    @classmethod
    def of(cls, original: Size, placement: Placement) -> "Frame":
        """The frame of an image that was placed whole, as `transforms.fitted` does."""
        return cls(original, placement.canvas, placement.target)

    def box(self, height: int, width: int) -> tuple[slice, slice]:
        """The part of a map [height, width] over the input that shows the image, in whole pixels, at least one.

        Example:
            >>> Frame((480, 640), (96, 96), (slice(12, 84), slice(0, 96))).box(24, 24)
            (slice(3, 21, None), slice(0, 24, None))
        """
        rows, columns = (
            _part(side, size, length)
            for side, size, length in zip(self.content, self.input, (height, width), strict=True)
        )
        return rows, columns


def _part(content: slice, size: int, length: int) -> slice:
    start = min(round(content.start * length / size), length - 1)
    return slice(start, max(round(content.stop * length / size), start + 1))


def to_original(raw: Tensor, frame: Frame, rows: slice | None = None) -> Tensor:
    """A network's output [..., h', w'] at the original image's pixels: [..., rows, W], bilinear, in one step.

    As `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` from the heads' resolution straight to
    the original's. Rows can be asked for in strips, so that large images take bounded memory: a strip holds bitwise
    what the whole holds there.

    Args:
        raw: over the whole input, at any resolution.
        frame: the frame of its input.
        rows: of the original; all by default.
    """
    height, width = frame.original
    start, stop, _ = (rows or slice(None)).indices(height)
    low, high, share = _neighbours(torch.arange(width), width, frame.content[1], frame.input[1], raw)
    top, bottom, down = _neighbours(torch.arange(start, stop), height, frame.content[0], frame.input[0], raw.mT)
    first = int(top[0])
    used = raw[..., first : int(bottom[-1]) + 1, :]
    left, right = (used.gather(-1, columns.expand(*used.shape[:-1], -1)) for columns in (low, high))
    wide = left * (1 - share) + right * share
    out = wide.new_empty((*wide.shape[:-2], stop - start, width))
    for part, above, below in _bands(wide, top - first, bottom - first):
        out[..., part, :] = torch.addcmul(above, below - above, down[part, None])
    return out


def _bands(wide: Tensor, top: Tensor, bottom: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Runs of rows that lie between the same two rows of `wide`, and these two; on a GPU all rows, and two for each."""
    if wide.is_cuda:
        yield slice(None), wide.index_select(-2, top), wide.index_select(-2, bottom)
        return
    ends = (top.diff().nonzero().flatten() + 1).tolist()
    for start, stop in pairwise([0, *ends, len(top)]):
        above, below = int(top[start]), int(bottom[start])
        yield slice(start, stop), wide[..., above : above + 1, :], wide[..., below : below + 1, :]


def _neighbours(pixels: Tensor, original: int, content: slice, size: int, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells along the last axis of `raw` that each original pixel lies between, and the second one's share."""
    cells = raw.shape[-1]
    on_input = content.start + (pixels.double() + 0.5) * ((content.stop - content.start) / original)
    place = (on_input * (cells / size) - 0.5).clamp(0, cells - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=cells - 1)
    share = (place - low).to(torch.promote_types(raw.dtype, torch.float32))  # half precision is too coarse for places
    return low.to(raw.device), high.to(raw.device), share.to(raw.device)


def to_input(label: LabelArray, frame: Frame, task: TaskDef) -> Target:
    """A label at original size as a target [1, c, h, w] at input size: what a network takes as known."""
    height, width = frame.original
    whole = Placement((slice(0, height), slice(0, width)), frame.content, frame.input)
    return target_of(place_label(label, whole, task))


def target_of(label: LabelArray, rows: slice | None = None) -> Target:
    """A label, or rows of it, as a target [1, c, h, w]."""
    rows = rows or slice(None)
    value = torch.from_numpy(label.value[rows]).permute(2, 0, 1)[None].contiguous()
    annotated = None if label.annotated is None else torch.from_numpy(label.annotated)[None]
    return Target(value, torch.from_numpy(label.valid[rows])[None, None], annotated)


def label_of(target: Target, image: int = 0) -> LabelArray:
    """One image of a target as a label in NumPy, for a format to write."""
    value, valid = target.value[image].movedim(0, 2).contiguous(), target.valid[image, 0]
    annotated = None if target.annotated is None else target.annotated[image].cpu().numpy()
    return LabelArray(value.cpu().numpy(), valid.cpu().numpy(), annotated)
