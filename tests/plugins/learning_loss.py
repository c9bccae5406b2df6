"""Learning loss: a head predicts each image's loss of each task; images expected to cost most are labelled first.

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

#: The names by which recipes, `needs` and settings reach the three parts.
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
    """Predicts losses from the tasks' features, which get no gradient from it."""

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
        """Expected losses [b, t] in no unit, tasks in their order; higher = the network does worse."""
        return torch.cat([head(task_features[name].mean((2, 3))) for name, head in self.heads.items()], 1)

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """Each image with the next one of the batch, where both have the label."""
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
    """The term."""
    return LearningLoss(tasks, network, options)


class ExpectedLoss(Statistic):
    """What the trained term predicts from the tasks' features, known labels fed in.

    Source: Yoo & Kweon 2019, section 3.1.
    """

    axis: Axis = "cell"
    terms = frozenset({TERM})

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """[b, t]."""
        output = batch.model.network.decode(batch.features, batch.batch.targets or None)
        expected = cast("LearningLoss", batch.model.terms[TERM]).predict(output.task_features)
        return cast("NDArray[np.floating]", expected.cpu().numpy())


def build_statistic(_seed: int, _options: Options) -> ExpectedLoss:
    """The statistic: the term has all that can be set."""
    return ExpectedLoss()


def build_strategy(_options: Options) -> Composed:
    """The strategy: losses are comparable within a task only, hence the min-max."""
    return Composed(frozenset({STATISTIC}), Read(STATISTIC), MinMax("each"), "cells", "expected to cost most")
