"""Learning loss: a module learns beside the network to rank the images of a batch by their loss.

The statistic and the strategy of the same name read it when the pool is scored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from labelgrid.nets.network import Features, Network, Raw, example_output
from labelgrid.nets.options import WIDEST
from labelgrid.tasks.task import Task
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import fixed_weights, targets_present
from labelgrid.train.ranges import Share, Weight
from labelgrid.train.term import Preparation, Step, Term


@dataclass(frozen=True, kw_only=True)
class Options:
    """The module (Yoo & Kweon 2019), and what it predicts.

    Args:
        predict: the loss of each of the `"tasks"`, from that task's features by a module of its own
            (TCD's LL4AL); or the summed loss of the `"image"`, from the encoder's maps (PartAL's
            LLoss).
        width: outputs of each hidden layer.
        margin: by which the predictions of a pair are to differ.
        weight: of the ranking loss.
        detach: share of the training after which the ranking loss no longer changes the network,
            only the module; 0: it never does.
    """

    predict: Literal["tasks", "image"] = "tasks"
    width: Annotated[int, Field(ge=1, le=WIDEST)] = 128
    margin: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    weight: Weight = 1.0
    detach: Share = 0.6


class LossModule(nn.Module):
    """Predicts one number an image from feature maps: mean over pixels, a layer and ReLU each.

    One more layer for all.

    Source: Yoo & Kweon 2019, section 3.2.

    Args:
        channels: of each map.
        width: outputs of each map's layer.

    Example:
        >>> LossModule([8, 16], 4)([torch.zeros(2, 8, 6, 6), torch.zeros(2, 16, 3, 3)]).shape
        torch.Size([2])
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(count, width) for count in channels])
        self.last = nn.Linear(width * len(channels), 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The predictions [b], without unit, of maps [b, c, h, w]."""
        hidden = [layer(x.mean((2, 3))).relu() for layer, x in zip(self.layers, maps, strict=True)]
        predicted: Tensor = self.last(torch.cat(hidden, 1))[:, 0]
        return predicted


class LearningLoss(Term):
    """Predicts the losses with which the network is trained, by its ranking loss on pairs of a batch's images."""

    def __init__(self, tasks: Mapping[str, Task], network: Network, options: Options) -> None:
        super().__init__()
        self.options = options
        self.tasks = tuple(tasks)
        output = example_output(network)
        maps = self._maps(output.features, lambda: output.task_features)
        self.predictors = nn.ModuleDict(
            {
                name: LossModule([x.shape[1] for x in given], options.width)
                for name, given in maps.items()
            }
        )

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        say_if_idle("learning_loss", data, images=True)

    def _maps(
        self, features: Features, task_features: Callable[[], Raw]
    ) -> dict[str, list[Tensor]]:
        """The maps that each module reads, by the module's name."""
        if self.options.predict == "image":
            return {"image": list(features.levels)}
        found = task_features()
        return {name: [found[name]] for name in self.tasks}

    def _predicted(self, maps: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
        return {name: self.predictors[name](given).float() for name, given in maps.items()}

    def predict(self, features: Features, task_features: Callable[[], Raw]) -> Tensor:
        """The predicted losses of each task [b, t], without unit.

        The image's for all tasks with `predict = "image"`.

        Args:
            features: the encoder's.
            task_features: returns the tasks' features of the same images; not called where they are
                not needed.
        """
        predicted = torch.stack(
            list(self._predicted(self._maps(features, task_features)).values()), 1
        )
        return predicted.expand(-1, len(self.tasks))

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The ranking losses [b], one per module.

        Pairs are compared by the tasks of which both images have a label.
        """
        options = self.options
        names = list(self.tasks)
        maps = self._maps(step.output.features, lambda: step.output.task_features)
        if step.progress >= options.detach:
            maps = {name: [x.detach() for x in given] for name, given in maps.items()}
        weights = fixed_weights(step.tasks, step.objective)
        losses = torch.stack(
            [step.losses[name].detach() * weights[name] for name in names], 1
        ).float()
        present = targets_present(step.batch.targets, names)
        ranked = {}
        for name, predicted in self._predicted(maps).items():
            columns = slice(None) if options.predict == "image" else [names.index(name)]
            ranked[name] = options.weight * ranking_loss(
                predicted, losses[:, columns], present[:, columns], options.margin
            )
        return ranked


def ranking_loss(predicted: Tensor, losses: Tensor, present: Tensor, margin: float) -> Tensor:
    """The ranking loss of the pairs (i, b - 1 - i) of a batch.

    The middle image of an odd one has no partner.

    A pair is compared by the sums of its losses over the tasks of which both images have a label;
    without such a task it does not count. Equal sums count as if the first were the smaller.

    Args:
        predicted: [b].
        losses: [b, k] of k tasks, weighted.
        present: bool [b, k], True where the label is.
        margin: by which the predictions of a pair are to differ.

    Returns:
        [b], whose mean is the mean over the pairs that count; 0 if there is none.

    Source: Yoo & Kweon 2019, eq. 2.

    Example:
        >>> losses = torch.tensor([[1.0], [5.0], [2.0]])
        >>> ranking_loss(torch.tensor([0.0, 9.0, 0.5]), losses, torch.ones(3, 1, dtype=torch.bool), 1.0).mean()
        tensor(0.5000)
    """
    count = len(predicted)
    half = len(predicted) // 2
    shared = present & present.flip(0)
    gaps = torch.where(shared, losses - losses.flip(0), 0.0).sum(1)
    signs = torch.where(gaps > 0, 1.0, -1.0)
    hinges = (margin - signs * (predicted - predicted.flip(0))).clamp(min=0)[:half]
    counts = shared.any(1)[:half]
    kept = torch.where(counts, hinges, 0.0) * (count / (2 * counts.sum().clamp(min=1)))
    return torch.cat([kept, kept.new_zeros(count - 2 * half), kept.flip(0)])


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> LearningLoss:
    """Build the term."""
    return LearningLoss(tasks, network, options)
