"""Converts raw outputs to predictions, label values to predictions, and predictions to labels."""

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.pixel.target import Target

#: The number of channels that `contenders` compares all channels with: those with the highest
#: minima.
LEADERS = 3


def class_probabilities(raw: Tensor) -> Tensor:
    """Softmax over the channels: [b, c, h, w] -> the same shape."""
    return torch.softmax(raw, dim=1)


def unit_vectors(raw: Tensor, eps: float = 1e-6) -> Tensor:
    """Each pixel's vector divided by its length: [b, c, h, w] -> the same shape.

    Vectors shorter than `eps` are divided by `eps` instead, so that a zero vector stays zero and
    its gradient stays finite.

    Example:
        >>> unit_vectors(torch.tensor([3.0, 0.0, 4.0]).view(1, 3, 1, 1)).flatten()
        tensor([0.6000, 0.0000, 0.8000])
    """
    # `F.normalize` reduces over a few channels tens of times slower on a CPU.
    # Squares exceed the range of half precision.
    wide = raw.to(torch.promote_types(raw.dtype, torch.float32))
    length = wide.square().sum(1, keepdim=True).clamp(min=eps**2).sqrt()
    return raw / length.to(raw.dtype)


def two_classes(prediction: Tensor) -> Tensor:
    """Turn probabilities [b, 1, h, w] into two classes, positive first: [b, 2, h, w]."""
    return torch.cat([prediction, 1 - prediction], 1)


def pass_through(values: Tensor) -> Tensor:
    """Return the values unchanged, for tasks whose labels, outputs and predictions are the same."""
    return values


def one_hot(values: Tensor, classes: int) -> Tensor:
    """Class indices [b, 1, h, w] as certain predictions [b, classes, h, w], float32.

    Example:
        >>> one_hot(torch.tensor([[[[2]]]]), 3).flatten()
        tensor([0., 0., 1.])
    """
    batch, _, height, width = values.shape
    zeros = torch.zeros(batch, classes, height, width, device=values.device)
    return zeros.scatter_(1, values.long(), 1.0)


def unit_mean(mean: Tensor) -> Tensor:
    """The direction of mean vectors [b, c, h, w]; a zero vector stays zero."""
    return functional.normalize(mean, dim=1)


def class_target(prediction: Tensor) -> Target:
    """The most likely class of probabilities [b, classes, h, w], the first of equal ones.

    It is valid where the probabilities are finite.

    Example:
        >>> class_target(torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)).value.flatten()
        tensor([1])
    """
    safe, finite = _replace_infinite(prediction)
    return Target(first_argmax(safe), finite)


def first_argmax(values: Tensor) -> Tensor:
    """The index [b, 1, h, w] of the largest of finite values [b, c, h, w], the first of equal ones.

    The result is that of `argmax`, which is many times slower on a CPU: here channels that equal
    the largest value are counted down.

    Example:
        >>> first_argmax(torch.tensor([1.0, 3.0, 3.0]).view(1, 3, 1, 1)).flatten()
        tensor([1])
    """
    channels = values.shape[1]
    equal = values == values.amax(1, keepdim=True)
    small = torch.uint8 if channels < 256 else torch.int32
    down = torch.arange(channels, 0, -1, device=values.device).view(-1, 1, 1).to(small)
    return channels - (equal * down).amax(1, keepdim=True).long()


def contenders(points: Tensor, largest: float | None = None) -> Tensor:
    """The channels that can be the largest of all at a weighted mean of points: bool [c, n].

    A channel is left out if one of `LEADERS` high channels exceeds it at every point by more than
    rounding errors. All channels are kept where a value is not finite.

    Args:
        points: [p, c, n]: p values of c channels, at each of n places.
        largest: the largest of the absolute values that the points were interpolated from; by
            default the largest absolute value of the points.

    Example:
        >>> contenders(torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, -1.0]])[..., None])[:, 0]
        tensor([ True,  True, False])
    """
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    if largest is None:
        largest = float(points.abs().amax())
    # Of interpolation in float32, twice: a dozen roundings of at most 6e-8 each.
    margin = 1e-5 * largest
    possible = torch.ones(points.shape[1:], dtype=torch.bool, device=points.device)
    for leader in points.amin(0).topk(min(LEADERS, len(possible)), 0).indices:
        high = points.gather(1, leader.expand(len(points), 1, -1))
        possible &= ~((high - points).amin(0) > margin)
    return possible


def binary_target(prediction: Tensor, threshold: float = 0.5) -> Target:
    """1 where a probability [b, 1, h, w] is above the threshold, else 0; valid where finite."""
    safe, finite = _replace_infinite(prediction)
    return Target((safe > threshold).float(), finite)


def positive_target(prediction: Tensor) -> Target:
    """The values [b, 1, h, w] themselves, valid where finite and positive, as distances are."""
    safe, finite = _replace_infinite(prediction)
    return Target(safe, finite & (safe[:, :1] > 0))


def vector_target(prediction: Tensor) -> Target:
    """Vectors [b, c, h, w] normalised to unit length, valid where finite and not zero."""
    safe, finite = _replace_infinite(prediction)
    squares = safe.square().unbind(1)
    # In float64: torch and NumPy round square roots of float32 differently, and label files are
    # written with NumPy.
    length = sum(squares[1:], squares[0]).double().sqrt().float()[:, None]
    return Target(safe / torch.where(length > 0, length, 1), finite & (length > 0))


def value_target(prediction: Tensor) -> Target:
    """The values [b, c, h, w] themselves, valid where all channels are finite."""
    return Target(*_replace_infinite(prediction))


def _replace_infinite(prediction: Tensor) -> tuple[Tensor, Tensor]:
    """A prediction in float32 with 0 wherever a channel is not finite, and the mask of the rest."""
    values = prediction.detach()
    # NaN is both the least and the largest of its pixel; testing every channel is several times
    # slower on a CPU.
    finite = values.amin(1, keepdim=True).isfinite() & values.amax(1, keepdim=True).isfinite()
    if not finite.all():
        values = torch.where(finite, values, 0)
    return values.float(), finite
