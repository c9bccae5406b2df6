"""The mean of an image's deepest features."""

from dataclasses import dataclass

import numpy as np

from labelgrid.score.statistic import PoolBatch, Statistic


@dataclass(frozen=True)
class Options:
    """There are none."""


class DeepestMean(Statistic):
    axis = "image"
    scope = "pool"
    reads = "features"

    def __call__(self, batch: PoolBatch) -> np.ndarray:
        return batch.features.deepest.mean((1, 2, 3)).cpu().numpy()


def build(seed: int, options: Options) -> DeepestMean:
    return DeepestMean()
