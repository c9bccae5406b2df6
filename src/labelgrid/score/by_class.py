"""Averages maps of the predicted classes over each image, for statistics of classes."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import contents
from labelgrid.score.statistic import PoolBatch


def class_means(batch: PoolBatch, maps_of: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
    """The mean over pixels of maps of each class, in one forward pass with known labels and at the heads' resolution.

    Args:
        batch: b images.
        maps_of: a task's probabilities [b, c, h, w] -> maps of the same shape.

    Returns:
        Float32 [b, t * c], task after task, c being the largest number of classes of a task; 0 where a task has fewer
        classes, predicts none, or had no label in training.
    """
    raws, frames, trained = batch.decoded(known=True).final, batch.batch.frames, batch.model.trained
    found = {}
    for name, task in batch.tasks.items():
        if task.probabilities and (trained is None or name in trained):
            maps = maps_of(task.probabilities(task.activate(raws[name])))
            found[name] = torch.stack([part.mean((1, 2)) for part in contents(maps, frames)])
    widest = max((means.shape[1] for means in found.values()), default=1)
    filled = np.zeros((len(frames), len(batch.tasks), widest), np.float32)
    for column, name in enumerate(batch.tasks):
        if name in found:
            filled[:, column, : found[name].shape[1]] = found[name].float().cpu().numpy()
    return filled.reshape(len(frames), -1)
