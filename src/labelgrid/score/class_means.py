"""Defines the statistics of classes: the means of maps of each class over an image."""

from dataclasses import dataclass

import numpy as np
import torch

from labelgrid.basics.array_types import AnyFloats
from labelgrid.data.frame import contents
from labelgrid.pixel.target import TensorMap
from labelgrid.score.statistic import PoolBatch, Reads, Statistic
from labelgrid.score.table import Axis


@dataclass(frozen=True)
class ClassMeans(Statistic):
    """The mean over pixels of maps of each class.

    It takes one forward pass with known labels, at the heads' resolution.

    Args:
        maps_of: a task's probabilities [b, c, h, w] -> maps of the same shape.
    """

    maps_of: TensorMap
    axis: Axis = "feature"
    reads: Reads = "predictions"

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The means of a batch, float32 [b, t * c], task after task.

        c is the largest number of classes of a task; values are 0 where a task has fewer classes,
        predicts none, or had no label in training.
        """
        raws = batch.decoded(known=True).final
        frames = batch.batch.frames
        trained = batch.model.trained
        means = {}
        for column, (name, task) in enumerate(batch.tasks.items()):
            if task.probabilities and (trained is None or name in trained):
                maps = self.maps_of(task.probabilities(task.activate(raws[name])))
                means[column] = torch.stack([part.mean((1, 2)) for part in contents(maps, frames)])
        widest = max((values.shape[1] for values in means.values()), default=1)
        filled = np.zeros((len(frames), len(batch.tasks), widest), np.float32)
        for column, values in means.items():
            filled[:, column, : values.shape[1]] = values.float().cpu().numpy()
        return filled.reshape(len(frames), -1)
