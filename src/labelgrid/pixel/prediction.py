"""Converts raw outputs to predictions, label values to predictions, and predictions to labels."""

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.pixel.target import Target


def class_probabilities(raw: Tensor) -> Tensor:
    """Softmax over the channels: [b, c, h, w] -> the same shape."""
    return torch.softmax(raw, dim=1)


def unit_vectors(raw: Tensor, eps: float = 1e-6) -> Tensor:
    """Each pixel's vector divided by its length: [b, c, h, w] -> the same shape.

    Vectors shorter than `eps` are divided by `eps` instead, so that a zero vector stays zero and its gradient
    stays finite.

    Example:
        >>> unit_vectors(torch.tensor([3.0, 0.0, 4.0]).view(1, 3, 1, 1)).flatten()
        tensor([0.6000, 0.0000, 0.8000])
    """
    # `F.normalize` reduces over a few channels tens of times slower on a CPU.
    wide = raw.to(torch.promote_types(raw.dtype, torch.float32))  # squares exceed half precision's range
    length = wide.square().sum(1, keepdim=True).clamp(min=eps**2).sqrt()
    return raw / length.to(raw.dtype)


def unchanged(values: Tensor) -> Tensor:
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
    """The most likely class of probabilities [b, classes, h, w], the first of equal ones; valid where finite.

    Example:
        >>> class_target(torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)).value.flatten()
        tensor([1])
    """
    safe, finite = _safe(prediction)
    return Target(safe.argmax(1, keepdim=True), finite)


def binary_target(prediction: Tensor, threshold: float = 0.5) -> Target:
    """1 where a probability [b, 1, h, w] is above the threshold, else 0; valid where finite."""
    safe, finite = _safe(prediction)
    return Target((safe > threshold).float(), finite)


def positive_target(prediction: Tensor) -> Target:
    """The values [b, 1, h, w] themselves, valid where finite and positive, as distances are."""
    safe, finite = _safe(prediction)
    return Target(safe, finite & (safe[:, :1] > 0))


def vector_target(prediction: Tensor) -> Target:
    """Vectors [b, c, h, w] normalised to unit length, valid where finite and not zero."""
    safe, finite = _safe(prediction)
    squares = safe.square().unbind(1)
    # In float64: torch and NumPy round square roots of float32 differently, and label files are written with NumPy.
    length = sum(squares[1:], squares[0]).double().sqrt().float()[:, None]
    return Target(safe / torch.where(length > 0, length, 1), finite & (length > 0))


def value_target(prediction: Tensor) -> Target:
    """The values [b, c, h, w] themselves, valid where all channels are finite."""
    return Target(*_safe(prediction))


def _safe(prediction: Tensor) -> tuple[Tensor, Tensor]:
    """A prediction in float32, 0 wherever a channel is not finite; and the mask of where all channels are finite."""
    finite = prediction.isfinite().all(1, keepdim=True)
    return torch.where(finite, prediction.detach(), 0).float(), finite
