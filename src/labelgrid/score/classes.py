"""Computes, for each image, the share of pixels that are predicted as each class.

It is computed for all tasks that predict classes, in one forward pass with known labels, at the heads' resolution. It
has no options.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.score.by_class import class_means
from labelgrid.score.statistic import PoolBatch, Scope, Statistic
from labelgrid.score.table import Axis


@dataclass(frozen=True)
class Options:
    """No options."""


@dataclass(frozen=True)
class Classes(Statistic):
    """The shares of predicted classes, task after task; 0 for tasks without classes."""

    scope: Scope = "pool"
    axis: Axis = "feature"

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The shares of a batch, float32 [b, t * c]; the classes of a task add up to 1."""
        return class_means(batch, most_likely)


def most_likely(probabilities: Tensor) -> Tensor:
    """1 for the most likely class of each pixel, 0 for the others: [b, c, h, w] -> the same shape.

    Example:
        >>> most_likely(torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)).flatten()
        tensor([0., 1., 0.])
    """
    return torch.zeros_like(probabilities).scatter_(1, probabilities.argmax(1, keepdim=True), 1.0)


def build(seed: int, options: Options) -> Classes:
    """Build the statistic."""
    return Classes()
