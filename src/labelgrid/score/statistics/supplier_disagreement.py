"""Computes the distance between each task's prediction and the image's supplied label.

It is the task's loss of the prediction on that label, a mean over the label's valid pixels. A large
value means that one of the two is wrong, so that a true label is worth more. The label is that of
the most trusted supplier. A cell without a supplied label has no value; strategies use the value of
a random other cell. Without a trusted supplier it is refused.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelgrid.basics.array_types import AnyFloats
from labelgrid.score.statistic import PoolBatch, Reads, Statistic
from labelgrid.train.objective import supplied_losses


@dataclass(frozen=True)
class Options:
    """The input of the prediction.

    Args:
        known: feed the known labels of other tasks in.
    """

    suppliers: ClassVar[bool] = True

    known: bool = True


@dataclass(frozen=True)
class SupplierDisagreement(Statistic):
    """The loss of each task on the supplied label; NaN where there is none."""

    options: Options
    reads: Reads = "predictions"

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The losses of a batch, float64 [b, t].

        The loss of a network that predicts no numbers is infinite.
        """
        raws = batch.decoded(self.options.known).final
        values = np.full((len(batch.keys), len(batch.tasks)), np.nan)
        for column, (name, task) in enumerate(batch.tasks.items()):
            supplied = batch.supplier_labels.get(name)
            if supplied is None:
                continue
            (losses,) = supplied_losses(task, [raws[name]], supplied)
            finite = np.nan_to_num(losses.double().cpu().numpy(), nan=np.inf, posinf=np.inf)
            values[:, column] = np.where(supplied.present.cpu().numpy(), finite, np.nan)
        return values


def build(seed: int, options: Options) -> SupplierDisagreement:
    """Build the distance to supplied labels."""
    return SupplierDisagreement(options)
