"""Computes, for each image, the share of pixels that are predicted as each class.

The shares of a task add up to 1.

It is computed for all tasks that predict classes, in one forward pass with known labels, at the
heads' resolution. It has no options.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelgrid.pixel.prediction import first_argmax
from labelgrid.score.class_means import ClassMeans


@dataclass(frozen=True)
class Options:
    """No options."""


def most_likely_class(probabilities: Tensor) -> Tensor:
    """1 for the most likely class of each pixel, otherwise 0: [b, c, h, w] -> the same shape.

    Example:
        >>> most_likely_class(torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)).flatten()
        tensor([0., 1., 0.])
    """
    return torch.zeros_like(probabilities).scatter_(1, first_argmax(probabilities), 1.0)


def build(seed: int, options: Options) -> ClassMeans:
    """Build the shares of predicted classes."""
    return ClassMeans(most_likely_class)
