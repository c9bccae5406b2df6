"""Translates network operators whose results depend on sizes to ONNX.

The operators are defined in `nets.padding` and `nets.area_means`. Needs onnxscript.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from onnxscript import opset18 as op

#: ONNX's numbers of the types.
FLOAT = 1
INT64 = 7
DOUBLE = 11
#: The axes of a map's height and width.
AXES = (2, 3)


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """The translation of each operator, as `torch.onnx.export` takes them."""
    operators = torch.ops.labelgrid
    return {
        operators.pad.default: _pad,
        operators.crop.default: _crop,
        operators.area_means.default: _area_means,
    }


def _pad(image: Any, multiple: int) -> Any:
    size = op.Shape(image, start=2)
    missing = op.Mod(op.Neg(size), _whole(multiple))
    before = op.Constant(value_ints=[0] * 6)
    amounts = op.Concat(before, missing, axis=0)
    return op.Pad(image, amounts)


def _crop(whole: Any, stride: int, height: Any, width: Any) -> Any:
    part = whole
    for axis, side in zip(AXES, (height, width), strict=True):
        part = _crop_axis(part, stride, pixels=_as_list(side), axis=axis)
    return part


def _crop_axis(whole: Any, stride: int, *, pixels: Any, axis: int) -> Any:
    one = _whole(1)
    cells = op.Div(op.Add(pixels, _whole(stride - 1)), _whole(stride))
    share = op.Div(op.Cast(pixels, to=FLOAT), op.Cast(op.Mul(cells, _whole(stride)), to=FLOAT))
    half = op.Constant(value_floats=[0.5])
    number = op.Cast(_count_to(cells), to=FLOAT)
    position = op.Sub(op.Mul(op.Add(number, half), share), half)
    position = op.Max(position, op.Constant(value_floats=[0.0]))
    low = op.Floor(position)
    weight = _along(op.Sub(position, low), axis)
    below = op.Cast(low, to=INT64)
    above = op.Min(op.Add(below, one), op.Sub(cells, one))
    first = op.Gather(whole, below, axis=axis)
    second = op.Gather(whole, above, axis=axis)
    return op.Add(first, op.Mul(weight, op.Sub(second, first)))


def _area_means(values: Any, height: Any, width: Any) -> Any:
    # Sums from the first pixel on are large: a difference of two needs double precision.
    means = op.Cast(values, to=DOUBLE)
    for axis, side in zip(AXES, (height, width), strict=True):
        means = _area_means_axis(means, _as_list(side), axis)
    return op.CastLike(means, values)


def _area_means_axis(values: Any, cells: Any, axis: int) -> Any:
    """The means over the pixels of each cell along an axis, divided as by adaptive pooling."""
    pixels = op.Shape(values, start=axis, end=axis + 1)
    number = _count_to(cells)
    first = op.Div(op.Mul(number, pixels), cells)
    end = op.Mul(op.Add(number, _whole(1)), pixels)
    last = op.Div(op.Add(end, op.Sub(cells, _whole(1))), cells)
    sums = op.CumSum(values, op.Constant(value_int=axis))
    amounts = [0] * 8  # of padding before the first and behind the last of each axis
    amounts[axis] = 1
    padded = op.Pad(sums, op.Constant(value_ints=amounts))
    total = op.Sub(op.Gather(padded, last, axis=axis), op.Gather(padded, first, axis=axis))
    count = op.Cast(op.Sub(last, first), to=DOUBLE)
    return op.Div(total, _along(count, axis))


def _whole(number: int) -> Any:
    return op.Constant(value_ints=[number])


def _as_list(number: Any) -> Any:
    return op.Reshape(number, _whole(1))


def _count_to(count: Any) -> Any:
    """The whole numbers from 0 on; a list of one number gives the count."""
    return op.Range(op.Constant(value_int=0), op.Squeeze(count), op.Constant(value_int=1))


def _along(numbers: Any, axis: int) -> Any:
    """A list of numbers along an axis of a map, to be multiplied with the map."""
    return numbers if axis == AXES[-1] else op.Unsqueeze(numbers, _whole(1))
