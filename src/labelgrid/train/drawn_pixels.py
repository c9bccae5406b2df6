"""Draws the pixels of labels that count in a step, and resizes outputs to these pixels."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.basics.type_names import Size
from labelgrid.pixel.target import Target


@dataclass(frozen=True)
class DrawnPixels:
    """A regular grid of pixels, the same for all labels of a step.

    Args:
        size: the height and width of the labels.
        rows: those of the grid.
        columns: likewise.
        fewest: a label with fewer valid pixels counts whole.
    """

    size: Size
    rows: slice
    columns: slice
    fewest: int

    @classmethod
    def of(cls, size: Size, count: int, rng: np.random.Generator) -> "DrawnPixels | None":
        """A grid of at most `count` pixels at a place that is drawn; None if all pixels count.

        Example:
            >>> grid = DrawnPixels.of((96, 128), 1000, np.random.default_rng(0))
            >>> grid.of_output(torch.zeros(1, 3, 24, 32)).shape
            torch.Size([1, 3, 24, 32])
        """
        if not 0 < count < size[0] * size[1]:
            return None
        every = math.ceil(math.sqrt(size[0] * size[1] / count))
        while math.ceil(size[0] / every) * math.ceil(size[1] / every) > count:
            every += 1
        top, left = (int(rng.integers(min(every, side))) for side in size)
        rows = slice(top, None, every)
        return cls(size, rows, slice(left, None, every), count)

    def of_target(self, target: Target) -> Target:
        """The labels of the drawn pixels."""
        value = target.value[..., self.rows, self.columns]
        return Target(value, target.valid[..., self.rows, self.columns], target.annotated)

    def of_output(self, raw: Tensor) -> Tensor:
        """A raw output [b, c, h, w] at the drawn pixels, as if it were resized to the labels."""
        down = _resizing(raw.shape[-2], self.size[0], like=raw)[self.rows].contiguous()
        across = _resizing(raw.shape[-1], self.size[1], like=raw)[self.columns].contiguous()
        return down @ (raw @ across.T)


def _resizing(length: int, size: int, like: Tensor) -> Tensor:
    """The weights [size, length] by which bilinear resizing mixes the values along an axis."""
    weights = torch.eye(length, dtype=like.dtype, device=like.device)[None]
    return functional.interpolate(weights, size=size, mode="linear", align_corners=False)[0].T
