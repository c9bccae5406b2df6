"""Measures how unsure a prediction of classes is, at each pixel; higher = less sure.

All measures take probabilities [b, k, h, w] of k >= 2 classes. Source: the three measures of
Settles 2009, section 3.1.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from labelgrid.pixel.target import TensorMap


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy, [b, 1, h, w], nats, from 0 to log k.

    Example:
        >>> round(entropy(torch.tensor([0.5, 0.5]).view(1, 2, 1, 1)).item(), 4)
        0.6931
    """
    return torch.special.entr(probabilities).sum(1, keepdim=True)


def least_confidence(probabilities: Tensor) -> Tensor:
    """1 - the largest probability, [b, 1, h, w], from 0 to 1 - 1/k.

    Example:
        >>> least_confidence(torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1)).item()
        0.5
    """
    return 1 - probabilities.amax(1, keepdim=True)


def margin(probabilities: Tensor) -> Tensor:
    """1 - the difference of the two largest probabilities, [b, 1, h, w], from 0 to 1.

    Example:
        >>> margin(torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1)).item()
        0.75
    """
    largest = probabilities.topk(2, 1).values
    return 1 - (largest[:, :1] - largest[:, 1:])


#: The measures by name.
MEASURES: Mapping[str, TensorMap] = {
    "entropy": entropy,
    "least_confidence": least_confidence,
    "margin": margin,
}
