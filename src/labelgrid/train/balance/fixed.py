"""Weighs each task's loss by a fixed weight: the plain weighted loss of the papers.

The weights come from the recipe's `[objective] weights`, with which `loss_mtl` is measured, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import note_unchanged
from labelgrid.train.balancer import Balancer, Reduce, TaskLosses

LARGEST = 1e9


@dataclass(frozen=True)
class Options:
    """What is trained with other weights than what is measured.

    Args:
        factors: by task, such as `{ semseg = 3.0 }`: they multiply the weights in training alone,
            and are 1 for other tasks. Compare a balancer with weights that were searched like this.
    """

    factors: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for task, factor in (self.factors or {}).items():
            if not 0 <= factor <= LARGEST:
                raise ValueError(f"factors.{task} must be from 0 to {LARGEST:g}; it is {factor:g}")


class Fixed(Balancer):
    """Multiplies each task's loss by a constant, reduces them, and back-propagates in one pass."""

    def __init__(self, weights: Mapping[str, float], reduce: Reduce) -> None:
        super().__init__()
        self.weights = weights
        self.reduce = reduce

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says."""
        weighted = {name: self.weights[name] * loss for name, loss in step.losses.items()}
        total = self.reduce(weighted, step.present) + step.other
        step.backward(total)
        return total.detach()


def build(weights: Mapping[str, float], reduce: Reduce, options: Options) -> Fixed:
    """Build the balancer.

    Raises:
        RecipeError: a factor is of an unknown task.
    """
    factors = options.factors or {}
    with note_unchanged("Nothing was trained."):
        check_tasks("balance.options.factors", factors, weights)
    multiplied = {task: weight * factors.get(task, 1.0) for task, weight in weights.items()}
    return Fixed(multiplied, reduce)
