"""Fixed task weights: the plain weighted loss of the papers.

The weights are the recipe's, `[objective] weights`; there are no options.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from labelgrid.train.balancer import Balancer, Reduce, TaskLosses


@dataclass(frozen=True)
class Options:
    """No options: the weights are the objective's."""


class Fixed(Balancer):
    """Weighs each task's loss by a constant and back-propagates their reduction in one pass."""

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
    """The balancer of these tasks."""
    return Fixed(weights, reduce)
