"""How raw outputs become predictions, and how label values become the predictions that say just them."""

import torch
from torch import Tensor


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
    wide = raw.to(torch.promote_types(raw.dtype, torch.float32))  # squares leave half precision's range
    length = wide.square().sum(1, keepdim=True).clamp(min=eps**2).sqrt()
    return raw / length.to(raw.dtype)


def unchanged(values: Tensor) -> Tensor:
    """The values themselves, for tasks whose labels, outputs and predictions are one thing."""
    return values


def one_hot(values: Tensor, classes: int) -> Tensor:
    """Class indices [b, 1, h, w] as certain predictions [b, classes, h, w], float32.

    Example:
        >>> one_hot(torch.tensor([[[[2]]]]), 3).flatten()
        tensor([0., 0., 1.])
    """
    batch, _, height, width = values.shape
    made = torch.zeros(batch, classes, height, width, device=values.device)
    return made.scatter_(1, values.long(), 1.0)
