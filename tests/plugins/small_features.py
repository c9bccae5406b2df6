"""Keeps shared features small: the mean of their squares is a loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from labelgrid.train.term import Step, Term


@dataclass(frozen=True)
class Options:
    """The loss.

    Args:
        weight: of the loss.
    """

    weight: float = 0.01


class SmallFeatures(Term):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        size = step.output.features.shared.square().mean((1, 2, 3))
        return {"size": self.weight * size}


def build(tasks: Any, network: Any, options: Options) -> SmallFeatures:
    return SmallFeatures(options.weight)
