"""A discriminator that separates labels from predictions, trained against the network.

Each task has one. Where an image has the label, its map is real; where it has not, the prediction
is to look so.
Source: Goodfellow et al. 2014, the losses of section 3, non-saturating for the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.nets.network import Network
from labelgrid.tasks.task import Task
from labelgrid.train.objective import resize_to_target
from labelgrid.train.term import OwnOptimiser, Step, Term


@dataclass(frozen=True)
class Options:
    """The discriminators.

    Args:
        weight: of the network's loss.
        learning_rate: of the discriminators' own optimiser.
        width: channels of their hidden layer.
    """

    weight: float = 0.01
    learning_rate: float = 1e-3
    width: int = 8


class Discriminator(Term):
    """One discriminator for each task whose labels have the form of its predictions."""

    def __init__(self, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__()
        self.options = options
        self.tasks = {
            name: task for name, task in tasks.items() if task.label_channels == task.channels
        }
        self.judges = nn.ModuleDict(
            {name: self._judge(task.channels, options.width) for name, task in self.tasks.items()}
        )
        self.optimiser = torch.optim.Adam(
            self.judges.parameters(), lr=options.learning_rate, betas=(0.5, 0.999)
        )

    @staticmethod
    def _judge(channels: int, width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, width, 4, 4),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(0),
        )

    def _fake(self, step: Step, name: str) -> Tensor:
        """The scores [b] of the predictions."""
        verdicts: Tensor = self.judges[name](
            self.tasks[name].activate(
                resize_to_target(step.output.final[name], step.batch.targets[name])
            )
        )
        return verdicts

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The network's loss: the discriminator should classify predictions as labels."""
        return {
            name: self.options.weight * functional.softplus(-self._fake(step, name))
            for name in self.tasks
        }

    def optimisers(self) -> Mapping[str, OwnOptimiser]:
        """One optimiser for all discriminators."""
        return {"judges": OwnOptimiser(self.optimiser, self.judging)}

    def judging(self, step: Step) -> Mapping[str, Tensor]:
        """The discriminator's loss: labels against predictions.

        The loop blocks its gradients from the network.
        """
        losses = {}
        for name in self.tasks:
            target = step.batch.targets[name]
            real = functional.softplus(-self.judges[name](target.safe()))
            losses[name] = torch.where(target.present, real, 0.0) + functional.softplus(
                self._fake(step, name)
            )
        return losses


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> Discriminator:
    """Build the term."""
    return Discriminator(tasks, options)
