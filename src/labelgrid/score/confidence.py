"""Computes how unsure one plain prediction of each class task is: entropy, least confidence or margin.

It takes one forward pass without dropout. Known labels of other tasks are fed in. Tasks that predict values (depth,
normals) have no such measure: theirs is 0 for every image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.pixel.confidence import MEASURES
from labelgrid.score.maps import Outputs, image_means
from labelgrid.score.options import At, Confidence
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.tasks.task import Task


@dataclass(frozen=True)
class Options:
    """Which measure (Settles 2009, section 3.1).

    Args:
        measure: `"entropy"`; `"least_confidence"`, 1 − the largest probability; or `"margin"`, 1 − the difference of
            the two largest.
        at: at which pixels: as in `dropout`.
        known: feed the known labels of other tasks in.
    """

    measure: Confidence = "entropy"
    at: At = "half"
    known: bool = True


class SinglePrediction:
    """The measure of a single prediction; 0 for a task without classes."""

    def __init__(self, measure: Callable[[Tensor], Tensor], task: Task) -> None:
        self.measure, self.task = measure, task
        self.value = torch.zeros(())

    def update(self, prediction: Tensor) -> None:
        """Take the prediction."""
        classes = self.task.probabilities
        self.value = self.measure(classes(prediction)) if classes else torch.zeros_like(prediction[:, :1])

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w]."""
        return self.value


@dataclass(frozen=True)
class PlainConfidence(Statistic):
    """The mean over pixels of a measure of one prediction: nats for the entropy, else probabilities."""

    options: Options

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The means of a batch, float64 [b, t]."""
        passes = Outputs([batch.decoded(self.options.known).final])
        make = partial(SinglePrediction, MEASURES[self.options.measure])
        return image_means(passes, batch.tasks, batch.batch.frames, make, self.options.at)


def build(seed: int, options: Options) -> PlainConfidence:
    """Build the statistic."""
    return PlainConfidence(options)
