"""Weighs each task's loss by a fixed weight: the plain weighted loss of the papers.

The weights come from the recipe's `[objective] weights`, with which `loss_mtl` is measured, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import note_unchanged
from labelgrid.train.balancer import Reduce, TaskLosses, WeightedBalancer, Weights

LARGEST = 1e9


@dataclass(frozen=True)
class Options:
    """Weights in training beside the weights that measure.

    Args:
        factors: factors by task, such as `{ semseg = 3.0 }`, which multiply the weights only in
            training; 1 for other tasks. Compare a balancer with weights that were searched like
            this.
    """

    factors: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for task, factor in (self.factors or {}).items():
            if not 0 <= factor <= LARGEST:
                raise ValueError(f"factors.{task} must be from 0 to {LARGEST:g}; it is {factor:g}")


class Fixed(WeightedBalancer):
    """Multiplies each task's loss by a constant, reduces the losses, and back-propagates once."""

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says."""
        weighted = {name: self.fixed[name] * loss for name, loss in step.losses.items()}
        return self.finish(step, weighted)


def build(weights: Weights, reduce: Reduce, options: Options) -> Fixed:
    """Build the balancer.

    Raises:
        RecipeError: a factor is of an unknown task.
    """
    factors = options.factors or {}
    with note_unchanged("Nothing was trained."):
        check_tasks("balance.options.factors", factors, weights)
    multiplied = {task: weight * factors.get(task, 1.0) for task, weight in weights.items()}
    return Fixed(multiplied, reduce)
