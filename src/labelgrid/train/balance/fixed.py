"""Weighs each task's loss by a fixed weight: the plain weighted loss of the papers.

The weights come from the recipe's `[objective] weights`. It has no options.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from labelgrid.train.balancer import Balancer, Reduce, TaskLosses


@dataclass(frozen=True)
class Options:
    """No options: the weights are the objective's."""


class Fixed(Balancer):
    """Multiplies each task's loss by a constant, reduces them, and back-propagates in one pass."""

    def __init__(self, weights: Mapping[str, float], reduce: Reduce) -> None:
        super().__init__()
        self.weights, self.reduce = weights, reduce

    def backward(self, step: TaskLosses) -> Tensor:
        """As `Balancer.backward`."""
        weighted = {name: self.weights[name] * loss for name, loss in step.losses.items()}
        total = self.reduce(weighted, step.present) + step.other
        step.backward(total)
        return total.detach()


def build(weights: Mapping[str, float], reduce: Reduce, options: Options) -> Fixed:
    """Build the balancer."""
    return Fixed(weights, reduce)
