"""Fixed task weights: the plain weighted loss of the papers.

The weights are the recipe's, `[objective] weights`; there are no options.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from labelgrid.train.term import Reduce


@dataclass(frozen=True)
class Options:
    """No options: the weights are the objective's."""


@dataclass(frozen=True)
class Fixed:
    """Weighs each task's loss by a constant and back-propagates their reduction in one pass."""

    weights: Mapping[str, float]
    reduce: Reduce

    def backward(
        self, losses: Mapping[str, Tensor], present: Tensor, other: Tensor, shared: Tensor, backward: Callable[..., Any]
    ) -> Tensor:
        """As `Balancer.backward`."""
        weighted = {name: self.weights[name] * loss for name, loss in losses.items()}
        total = self.reduce(weighted, present) + other
        backward(total)
        return total.detach()


def build(weights: Mapping[str, float], reduce: Reduce, options: Options) -> Fixed:
    """The balancer of these tasks."""
    return Fixed(weights, reduce)
