"""Pools the encoder's features: one vector per image.

It is the mean of a feature map without its padding.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from labelgrid.basics.array_types import AnyFloats
from labelgrid.data.frame import contents
from labelgrid.score.statistic import PoolBatch, Reads, Scope, Statistic
from labelgrid.score.table import Axis


@dataclass(frozen=True)
class Options:
    """The features that stand for an image.

    Args:
        map: the mean of the `"fused"` map, from which all tasks are predicted (270 channels in the
            papers' networks), or of the encoder's `"deepest"` one.
    """

    map: Literal["fused", "deepest"] = "fused"


@dataclass(frozen=True)
class PooledFeatures(Statistic):
    """The mean feature vector of each image, padding left out.

    All images of the train split are scored, because the labelled ones are the first centres of a
    core-set.
    """

    options: Options
    scope: Scope = "all"
    axis: Axis = "feature"
    reads: Reads = "features"

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The features of a batch, float32 [b, c]."""
        features = batch.features
        maps = features.shared if self.options.map == "fused" else features.deepest
        means = [part.mean((1, 2)) for part in contents(maps, batch.batch.frames)]
        return np.stack([mean.float().cpu().numpy() for mean in means])


def build(seed: int, options: Options) -> PooledFeatures:
    """Build the mean of the encoder's features."""
    return PooledFeatures(options)
