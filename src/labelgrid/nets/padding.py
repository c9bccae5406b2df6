"""Pads images to a multiple of a network's coarsest stride, and crops its maps to the image.

In a graph recorded by `torch.export`, both are separate operators with unknown output sizes:
otherwise the graph would hold conditions on the size of the recorded image. `nets.onnx_ops`
translates them.
"""

import torch
from torch import Tensor
from torch.nn import functional


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad images [b, c, h, w] with zeros until both sides are multiples of `multiple`.

    The zeros are at the bottom and right.

    Example:
        >>> pad_to_multiple(torch.ones(1, 3, 5, 8), 4).shape
        torch.Size([1, 3, 8, 8])
    """
    if torch.compiler.is_exporting():
        return _pad(image, multiple)
    height, width = image.shape[-2:]
    return functional.pad(image, (0, -width % multiple, 0, -height % multiple))


def crop_padding(whole: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Crop a map over a padded image to the image.

    ceil(side / stride) cells remain, which span exactly the image's side.

    Args:
        whole: [b, c, h', w'], with one cell for each stride × stride pixels of the padded image.
        stride: the stride of the map.
        height: the height of the image.
        width: the width of the image.

    Example:
        >>> crop_padding(torch.tensor([[[[0.0, 4.0]]]]), 4, 4, 6)
        tensor([[[[0.0000, 2.5000]]]])
    """
    if torch.compiler.is_exporting():
        return _crop(whole, stride, height, width)
    rows = -(-height // stride)
    columns = -(-width // stride)
    part = whole[..., :rows, :columns]
    part = _fit(part, height / (rows * stride), -2)
    return _fit(part, width / (columns * stride), -1)


def _fit(cells: Tensor, share: float, axis: int) -> Tensor:
    """Interpolate linearly: as many cells along an axis, which span only a share of the axis."""
    if share == 1:
        return cells
    count = cells.shape[axis]
    position = ((torch.arange(count, device=cells.device) + 0.5) * share - 0.5).clamp(min=0)
    low = position.long()
    weight = (position - low).to(cells.dtype).view(-1, *[1] * (-1 - axis))
    below = cells.index_select(axis, low)
    above = cells.index_select(axis, (low + 1).clamp(max=count - 1))
    return torch.lerp(below, above, weight)


# An operator must not return its input, hence the copies.


@torch.library.custom_op("labelgrid::pad", mutates_args=())
def _pad(image: Tensor, multiple: int) -> Tensor:
    return pad_to_multiple(image, multiple).clone()


@_pad.register_fake
def _padded(image: Tensor, multiple: int) -> Tensor:
    rows, columns = _unknown_size()
    return image.new_empty((*image.shape[:2], rows * multiple, columns * multiple))


@torch.library.custom_op("labelgrid::crop", mutates_args=())
def _crop(whole: Tensor, stride: int, height: int, width: int) -> Tensor:
    return crop_padding(whole, stride, height, width).clone()


@_crop.register_fake
def _cropped(whole: Tensor, stride: int, height: int, width: int) -> Tensor:
    return whole.new_empty((*whole.shape[:2], *_unknown_size()))


def _unknown_size() -> tuple[torch.SymInt, torch.SymInt]:
    context = torch.library.get_ctx()
    return context.new_dynamic_size(min=2), context.new_dynamic_size(min=2)
