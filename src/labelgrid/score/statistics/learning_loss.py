"""Computes the loss that the trained term `learning_loss` predicts for each cell or whole image.

The model must be trained with the table `[terms.learning_loss]` in the recipe. Known labels of
other tasks are fed in. The statistic has no options; the options of the term decide what is
predicted.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

from labelgrid.basics.array_types import AnyFloats
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.train.terms.learning_loss import LearningLoss

TERM = "learning_loss"


@dataclass(frozen=True)
class Options:
    """No options."""

    terms: ClassVar[frozenset[str]] = frozenset({TERM})


class PredictedLoss(Statistic):
    """The predicted loss of each task, or of the image for all tasks, without unit.

    Source: Yoo & Kweon 2019, section 3.1.
    """

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The predicted losses of a batch, [b, t]."""
        term = cast("LearningLoss", batch.model.terms[TERM])
        predicted = term.predict(batch.features, lambda: batch.decoded(known=True).task_features)
        return cast("AnyFloats", predicted.cpu().numpy())


def build(seed: int, options: Options) -> PredictedLoss:
    """Build the loss that the term predicts."""
    return PredictedLoss()
