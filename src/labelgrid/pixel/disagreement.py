"""Measures how much two predictions of one task differ at each pixel.

This is TCD's inconsistency of stages. The paper names no per-pixel measure. This project uses the
information gain from the initial to the refined prediction for probabilities (nats), and a distance
for other values. All measures are >= 0, and 0 for equal predictions.
"""

import torch
from torch import Tensor

from labelgrid.pixel.prediction import two_classes

#: Initial probabilities are raised to this value, which bounds the divergences at about 16 nats.
LEAST = 1e-7


def class_divergence(initial: Tensor, refined: Tensor) -> Tensor:
    """KL(refined || initial) of class probabilities [b, c, h, w], nats: [b, 1, h, w].

    Example:
        >>> a = torch.tensor([0.5, 0.5]).view(1, 2, 1, 1)
        >>> b = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
        >>> class_divergence(a, b).item() == torch.tensor(2.0).log().item()
        True
    """
    least = torch.finfo(refined.dtype).tiny  # the gradient at a probability of 0 stays finite
    gain = torch.xlogy(refined, refined.clamp(min=least)) - refined * initial.clamp(min=LEAST).log()
    return gain.sum(1, keepdim=True).clamp(min=0)


def binary_divergence(initial: Tensor, refined: Tensor) -> Tensor:
    """KL(refined || initial) of probabilities [b, 1, h, w] of the positive class, nats."""
    return class_divergence(two_classes(initial), two_classes(refined))


def class_js(initial: Tensor, refined: Tensor) -> Tensor:
    """Jensen–Shannon divergence of class probabilities [b, c, h, w]: [b, 1, h, w].

    In nats, at most log 2.

    Example:
        >>> a = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
        >>> b = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        >>> class_js(a, b).item() == torch.tensor(2.0).log().item()
        True
    """
    mean = (initial + refined) / 2
    return (class_divergence(mean, initial) + class_divergence(mean, refined)) / 2


def binary_js(initial: Tensor, refined: Tensor) -> Tensor:
    """As `class_js`, of probabilities [b, 1, h, w] of the positive class."""
    return class_js(torch.cat([initial, 1 - initial], 1), torch.cat([refined, 1 - refined], 1))


def absolute_difference(initial: Tensor, refined: Tensor) -> Tensor:
    """|refined - initial|, averaged over the channels, in the values' unit: [b, 1, h, w]."""
    return (refined - initial).abs().mean(1, keepdim=True)


def cosine_distance(initial: Tensor, refined: Tensor) -> Tensor:
    """1 - cosine of the angle between unit vectors [b, c, h, w]: [b, 1, h, w], from 0 to 2."""
    return (1 - (initial * refined).sum(1, keepdim=True)).clamp(min=0)
