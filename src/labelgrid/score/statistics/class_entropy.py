"""Computes the part of an image's predictive entropy that falls to each class, in nats.

A part is the mean of probability × entropy; the parts of a task add up to its mean entropy. Source:
ClaSP PE (Lüth et al. 2026), whose released code weighs a voxel's entropy with the class's
probability.

It is computed for all tasks that predict classes, in one forward pass with known labels, at the
heads' resolution. It has no options.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelgrid.score.class_means import ClassMeans


@dataclass(frozen=True)
class Options:
    """No options."""


def entropies(probabilities: Tensor) -> Tensor:
    """Each pixel's entropy times the probabilities of its classes, in nats.

    [b, c, h, w] -> the same shape.

    Example:
        >>> entropies(torch.tensor([0.5, 0.5]).view(1, 2, 1, 1)).flatten()
        tensor([0.3466, 0.3466])
    """
    return probabilities * torch.special.entr(probabilities).sum(1, keepdim=True)


def build(seed: int, options: Options) -> ClassMeans:
    """Build the entropy by class, the mean over an image's pixels."""
    return ClassMeans(entropies)
