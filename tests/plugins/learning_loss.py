"""Learning loss: a head predicts the loss of each cell; cells with the highest predicted loss are labelled first.

Source: Yoo & Kweon 2019, equation 2: the loss of pairs of images, since a loss's scale changes while a network learns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labelgrid.nets.network import Network, Raw
from labelgrid.score.statistic import Axis, PoolBatch, Statistic
from labelgrid.select.parts import Composed, MinMax, Read
from labelgrid.tasks.task import Task
from labelgrid.train.term import Step, Term

#: The names of the three parts in recipes, `needs` and settings.
TERM, STATISTIC, STRATEGY = (f"{__name__}:{name}" for name in ("build", "build_statistic", "build_strategy"))


@dataclass(frozen=True)
class Options:
    """The head.

    Args:
        width: channels of each task's hidden layer.
        margin: by which the predictions of a pair are to differ.
        weight: of the term.
    """

    width: int = 16
    margin: float = 1.0
    weight: float = 1.0


class LearningLoss(Term):
    """Predicts losses from the tasks' features; no gradient flows back into the features."""

    def __init__(self, tasks: Mapping[str, Task], network: Network, options: Options) -> None:
        super().__init__()
        self.options = options
        with torch.inference_mode():
            features = network.eval()(torch.zeros(1, 3, 64, 64)).task_features
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(features[name].shape[1], options.width), nn.ReLU(), nn.Linear(options.width, 1)
                )
                for name in tasks
            }
        )

    def predict(self, task_features: Raw) -> Tensor:
        """Predicted losses [b, t], without unit, in the order of the tasks; higher = worse prediction."""
        return torch.cat([head(task_features[name].mean((2, 3))) for name, head in self.heads.items()], 1)

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """Pairs of neighbouring images in the batch that both have the label."""
        predicted = self.predict({name: x.detach() for name, x in step.output.task_features.items()})
        losses = {}
        for column, name in enumerate(self.heads):
            truth, present = step.losses[name].detach(), step.batch.targets[name].present
            signs = torch.sign(truth - truth.roll(1, 0))
            gaps = predicted[:, column] - predicted[:, column].roll(1, 0)
            ranked = (self.options.margin - signs * gaps).clamp(min=0)
            both = present & present.roll(1, 0) & (signs != 0)
            losses[name] = self.options.weight * torch.where(both, ranked, 0.0)
        return losses


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> LearningLoss:
    """Build the term."""
    return LearningLoss(tasks, network, options)


class ExpectedLoss(Statistic):
    """The trained term's predicted losses, with known labels fed in.

    Source: Yoo & Kweon 2019, section 3.1.
    """

    axis: Axis = "cell"
    terms = frozenset({TERM})

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The predicted losses of a batch, [b, t]."""
        output = batch.model.network.decode(batch.features, batch.batch.targets or None)
        expected = cast("LearningLoss", batch.model.terms[TERM]).predict(output.task_features)
        return cast("NDArray[np.floating]", expected.cpu().numpy())


def build_statistic(_seed: int, _options: Options) -> ExpectedLoss:
    """Build the statistic; the options belong to the term."""
    return ExpectedLoss()


def build_strategy(_options: Options) -> Composed:
    """Build the strategy. Losses are comparable within a task only, hence the min-max."""
    return Composed(frozenset({STATISTIC}), Read(STATISTIC), MinMax("each"), "cells", "expected to cost most")
