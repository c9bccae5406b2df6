"""Computes how unsure one plain prediction of each class task is.

The measures are entropy, least confidence and margin. It takes one forward pass without dropout.
Known labels of other tasks are fed in. Tasks that predict values (depth, normals) have no such
measure: theirs is 0 for every image.
"""

from dataclasses import dataclass

from labelgrid.basics.array_types import AnyFloats
from labelgrid.pixel.class_confidence import MEASURES
from labelgrid.score.maps import Outputs, image_means, measure_of_mean
from labelgrid.score.measure_choices import At, Confidence
from labelgrid.score.statistic import PoolBatch, Reads, Statistic


@dataclass(frozen=True)
class Options:
    """Which measure (Settles 2009, section 3.1).

    Args:
        measure: `"entropy"`; `"least_confidence"`, 1 − the largest probability; or `"margin"`, 1 −
            the difference of the two largest.
        at: the pixels, as in `dropout`.
        known: feed the known labels of other tasks in.
    """

    measure: Confidence = "entropy"
    at: At = "half"
    known: bool = True


@dataclass(frozen=True)
class PlainConfidence(Statistic):
    """The mean over pixels of a measure of one prediction: nats for the entropy, or probability."""

    options: Options
    reads: Reads = "predictions"

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The means of a batch, float64 [b, t]."""
        passes = Outputs([batch.decoded(self.options.known).final])
        # The variance of one prediction is 0.
        make = measure_of_mean(MEASURES[self.options.measure])
        return image_means(
            passes, batch.tasks, frames=batch.batch.frames, make=make, at=self.options.at
        )


def build(seed: int, options: Options) -> PlainConfidence:
    """Build the measure of a plain prediction."""
    return PlainConfidence(options)
