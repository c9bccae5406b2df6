"""Computes losses on labels of suppliers: true up to a scale or a shift, or not sure everywhere.

A prediction is fitted to the map, never the map to a prediction: a constant prediction would fit
any map. What `map_fit` does for one map is done here for a batch, with gradients.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vecdot

from labelgrid.pixel.map_fit import FEWEST_PIXELS, FLAT, KEPT
from labelgrid.pixel.target import SoftTarget, Target, TensorMap, mean_per_image

#: Raw outputs and a target of one size -> [b, 1, h, w].
PixelLoss = Callable[[Tensor, Target], Tensor]


@dataclass(frozen=True)
class SuppliedTarget(SoftTarget):
    """Suppliers' labels of a task for a batch.

    They are neither fed into a network nor part of a metric, and terms read none.

    Args:
        fitted: bool [b]: true up to a scale at best; the others are in the task's numbers.
        up_to: float32 [b, 4], of the fitted ones: the fields of `labelgrid.formats.codec.UpTo`.
    """

    fitted: Tensor
    up_to: Tensor

    @property
    def present(self) -> Tensor:
        """Bool [b]: images with a label that says anything."""
        count = self.target.valid.flatten(1).sum(1)
        return torch.where(self.fitted, (count >= FEWEST_PIXELS) & self._varies, count > 0)

    @property
    def _varies(self) -> Tensor:
        value = self.target.value[:, :1].to(self.up_to.dtype)
        valid = self.target.valid
        high = value.masked_fill(~valid, -torch.inf).flatten(1).amax(1)
        low = value.masked_fill(~valid, torch.inf).flatten(1).amin(1)
        return high > low

    def where(self, keep: Tensor) -> "SuppliedTarget":
        """The same labels, valid only at the pixels with `keep` (bool [b, 1, h, w])."""
        return replace(self, target=replace(self.target, valid=self.target.valid & keep))


#: By the names of tasks.
SuppliedTargets = Mapping[str, SuppliedTarget]


def supplied_loss(
    raw: Tensor, supplied: SuppliedTarget, pixel_loss: PixelLoss, activate: TensorMap
) -> Tensor:
    """The loss [b] of raw outputs [b, c, h, w] on supplied labels of their size; 0 without any.

    Fitted rows: the absolute error of the fitted prediction, in units of the map's spread, times
    the usual spread of true labels, so that it weighs as the loss on a true label. Other rows: the
    task's own loss. Both are means over the valid pixels, times the confidence there.
    """
    target = supplied.target
    if not supplied.fitted.any():
        losses = pixel_loss(raw, target)
    else:
        losses = _fitted_error(activate(raw), supplied)
        if not supplied.fitted.all():
            fitted = supplied.fitted.view(-1, 1, 1, 1)
            losses = torch.where(fitted, losses, pixel_loss(raw, target))
    return mean_per_image(losses * supplied.confidence, target.valid)


def _fitted_error(prediction: Tensor, supplied: SuppliedTarget) -> Tensor:
    """The errors of fitted predictions [b, 1, h, w], in the task's numbers."""
    target = supplied.target
    shift, inverse, usual, least = supplied.up_to.to(prediction.dtype).unbind(1)
    valid = target.valid.flatten(1)
    aim = target.safe()[:, :1].flatten(1).to(prediction.dtype)
    values = prediction[:, :1].flatten(1)
    near = torch.maximum(values, least[:, None])
    inverted = near.reciprocal() + (near - values) / least[:, None] ** 2
    values = torch.where(inverse[:, None] > 0, inverted, values).masked_fill(~valid, 0)
    fitted = fit_line(values, aim, valid, shift=shift > 0)
    width = map_spread(aim, valid)
    unit = usual / torch.where(width > 0, width, 1)
    return ((fitted - aim).abs() * unit[:, None]).view_as(target.valid)


def fit_line(values: Tensor, aim: Tensor, valid: Tensor, *, shift: Tensor) -> Tensor:
    """Numbers [b, n] after `map_fit.fit` to those of maps [b, n]; `shift` is bool [b].

    Both are 0 where they are not valid.
    """
    with torch.no_grad():
        error = (_line(values, aim, valid, shift) - aim).abs_().masked_fill_(~valid, torch.inf)
        counts = (valid.sum(1) * KEPT).ceil().long().clamp(min=1)
        kept = valid & (error <= _smallest(error, counts)[:, None])
    return _line(values, aim, kept, shift)


def _line(values: Tensor, aim: Tensor, kept: Tensor, shift: Tensor) -> Tensor:
    weight = kept.to(values.dtype)
    count = weight.sum(1).clamp(min=1)
    middle = vecdot(values, weight) / count * shift
    level = vecdot(aim, weight) / count * shift
    centred = (values - middle[:, None]) * weight
    square = vecdot(centred, centred)
    product = vecdot(centred, aim - level[:, None])
    least = torch.where(shift, count * (FLAT * middle) ** 2, 0)
    usable = (square > least) & (product > 0)
    scale = torch.where(usable, product / torch.where(usable, square, 1), 0)
    return torch.addcmul((level - scale * middle)[:, None], scale[:, None], values)


def map_spread(aim: Tensor, valid: Tensor) -> Tensor:
    """The spread [b] of maps [b, n], see `map_fit.spread`."""
    count = valid.sum(1).clamp(min=1)
    middle = _smallest(aim.masked_fill(~valid, torch.inf), (count + 1) // 2)
    return (aim - middle[:, None]).abs_().masked_fill_(~valid, 0).sum(1) / count


def _smallest(rows: Tensor, places: Tensor) -> Tensor:
    """The number [b] of each row [b, n] that has a place, from 1 up, in ascending order."""
    numbers = []
    for row, place in zip(rows, places.tolist(), strict=True):
        if row.device.type == "cpu":  # NumPy is ten times faster there
            numbers.append(torch.from_numpy(np.partition(row.numpy(), place - 1))[place - 1])
        else:
            numbers.append(row.kthvalue(place).values)
    return torch.stack(numbers)
