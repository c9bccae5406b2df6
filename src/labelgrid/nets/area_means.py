"""Averages maps over the areas of a coarser grid's pixels.

In a graph that `torch.export` records it is an operator of its own, as the pooling of an unknown
size has no counterpart in ONNX. `nets.onnx_ops` translates it.
"""

import torch
from torch import Tensor
from torch.nn import functional


def area_means(values: Tensor, size: tuple[int, int]) -> Tensor:
    """The means of maps [b, c, h, w] over the area of each pixel of a grid: [b, c, *size].

    Example:
        >>> area_means(torch.tensor([[[[0.0, 1.0, 4.0, 5.0]]]]), (1, 2))
        tensor([[[[0.5000, 4.5000]]]])
    """
    if torch.compiler.is_exporting():
        return _area_means(values, *size)
    return functional.adaptive_avg_pool2d(values, size)


@torch.library.custom_op("labelgrid::area_means", mutates_args=())
def _area_means(values: Tensor, height: int, width: int) -> Tensor:
    # An operator must not return its input.
    return area_means(values, (height, width)).clone()


@_area_means.register_fake
def _averaged(values: Tensor, height: int, width: int) -> Tensor:
    return values.new_empty((*values.shape[:2], height, width))
