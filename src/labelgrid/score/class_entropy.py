"""Computes how much of an image's predictive entropy falls to each class: the mean of probability × entropy.

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
class ClassEntropy(Statistic):
    """The entropies by class, task after task; 0 for tasks without classes.

    Source: ClaSP PE (Lüth et al. 2026), whose released code weighs a voxel's entropy with the class's probability.
    """

    scope: Scope = "pool"
    axis: Axis = "feature"

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The entropies of a batch in nats, float32 [b, t * c]; those of a task add up to its mean entropy."""
        return class_means(batch, entropies)


def entropies(probabilities: Tensor) -> Tensor:
    """Each pixel's entropy times the probabilities of its classes: [b, c, h, w] -> the same shape, in nats.

    Example:
        >>> entropies(torch.tensor([0.5, 0.5]).view(1, 2, 1, 1)).flatten()
        tensor([0.3466, 0.3466])
    """
    return probabilities * torch.special.entr(probabilities).sum(1, keepdim=True)


def build(seed: int, options: Options) -> ClassEntropy:
    """Build the statistic."""
    return ClassEntropy()
