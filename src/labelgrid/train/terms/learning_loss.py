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
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import fixed_weights, targets_present
from labelgrid.train.term import Preparation, Step, Term
from labelgrid.train.term_options import Share, Weight, Width


@dataclass(frozen=True, kw_only=True)
class Options:
    """The loss-prediction module (Yoo & Kweon 2019), and the predicted losses.

    Args:
        predict: `"tasks"`: the loss of each task, by a separate module (TCD's LL4AL); `"image"`:
            the summed loss of the image, from the encoder's maps (PartAL's LLoss).
        width: outputs of each hidden layer.
        margin: the margin by which the predictions of a pair should differ.
        weight: the weight of the ranking loss.
        detach: share of the training after which the ranking loss trains the module alone; 0:
            never.
    """

    predict: Literal["tasks", "image"] = "tasks"
    width: Width = 128
    margin: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    weight: Weight = 1.0
    detach: Share = 0.6


class LossModule(nn.Module):
    """Predicts one number an image from feature maps.

    Each map's mean over pixels goes through a layer and ReLU, and all through one more layer.

    Source: Yoo & Kweon 2019, section 3.2.

    Args:
        channels: the channels of each map.
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
        """Predict a number without unit, [b], from maps [b, c, h, w]."""
        hidden = []
        for layer, x in zip(self.layers, maps, strict=True):
            hidden.append(layer(x.mean((2, 3))).relu())
        return self.last(torch.cat(hidden, 1))[:, 0]


class LearningLoss(Term):
    """Predicts the losses of the network, and learns to rank pairs of a batch's images by them."""

    undivided = "it ranks the images of a batch by their losses"

    def __init__(self, tasks: Tasks, network: Network, options: Options) -> None:
        super().__init__()
        self.options = options
        self.tasks = tuple(tasks)
        output = example_output(network)
        maps = self._maps(output.features, lambda: output.task_features)
        self.predictors = nn.ModuleDict()
        for name, its_maps in maps.items():
            channels = [x.shape[1] for x in its_maps]
            self.predictors[name] = LossModule(channels, options.width)

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        say_if_idle("learning_loss", data, images=True)

    def _maps(
        self, features: Features, task_features: Callable[[], Raw]
    ) -> dict[str, list[Tensor]]:
        if self.options.predict == "image":
            return {"image": list(features.levels)}
        by_task = task_features()
        return {name: [by_task[name]] for name in self.tasks}

    def _predict(self, maps: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
        return {name: self.predictors[name](its_maps).float() for name, its_maps in maps.items()}

    def predict(self, features: Features, task_features: Callable[[], Raw]) -> Tensor:
        """Predict the losses of each task [b, t], without unit.

        With `predict = "image"`, all tasks have the image's.

        Args:
            features: the encoder's maps.
            task_features: returns the tasks' features of the same images; not called where they are
                not needed.
        """
        by_module = self._predict(self._maps(features, task_features))
        predicted = torch.stack(list(by_module.values()), 1)
        return predicted.expand(-1, len(self.tasks))

    def loss(self, step: Step) -> Tensors:
        """Compute the ranking losses [b], one per module.

        A pair is compared by the tasks for which both images have a label.
        """
        options = self.options
        names = list(self.tasks)
        maps = self._maps(step.output.features, lambda: step.output.task_features)
        if step.progress >= options.detach:
            maps = {name: _detach(its_maps) for name, its_maps in maps.items()}
        weights = fixed_weights(step.tasks, step.objective)
        weighted = [step.losses[name].detach() * weights[name] for name in names]
        losses = torch.stack(weighted, 1).float()
        present = targets_present(step.batch.targets, names)
        ranked = {}
        for name, predicted in self._predict(maps).items():
            columns = slice(None) if options.predict == "image" else [names.index(name)]
            loss = ranking_loss(predicted, losses[:, columns], present[:, columns], options.margin)
            ranked[name] = options.weight * loss
        return ranked


def _detach(maps: Sequence[Tensor]) -> list[Tensor]:
    return [x.detach() for x in maps]


def ranking_loss(predicted: Tensor, losses: Tensor, present: Tensor, margin: float) -> Tensor:
    """Compute the ranking loss of the pairs (i, b - 1 - i) of a batch.

    The middle image of an odd batch has no partner. A pair is compared by the sums of losses over
    the tasks that are labelled in both images; a pair without such a task does not count. Equal
    sums count as if the first were the smaller.

    Args:
        predicted: [b].
        losses: [b, k] of k tasks, weighted.
        present: bool [b, k], True where the label is.
        margin: the margin by which the predictions of a pair should differ.

    Returns:
        [b], whose mean is the mean over the pairs that count; 0 if there is none.

    Source: Yoo & Kweon 2019, eq. 2.

    Example:
        >>> losses = torch.tensor([[1.0], [5.0], [2.0]])
        >>> present = torch.ones(3, 1, dtype=torch.bool)
        >>> ranking_loss(torch.tensor([0.0, 9.0, 0.5]), losses, present, 1.0).mean()
        tensor(0.5000)
    """
    count = len(predicted)
    half = count // 2
    shared = present & present.flip(0)
    gaps = torch.where(shared, losses - losses.flip(0), 0.0).sum(1)
    signs = torch.where(gaps > 0, 1.0, -1.0)
    hinges = (margin - signs * (predicted - predicted.flip(0))).clamp(min=0)[:half]
    counts = shared.any(1)[:half]
    losses_of_pairs = torch.where(counts, hinges, 0.0) * (count / (2 * counts.sum().clamp(min=1)))
    middle = losses_of_pairs.new_zeros(count - 2 * half)
    return torch.cat([losses_of_pairs, middle, losses_of_pairs.flip(0)])


def build(tasks: Tasks, network: Network, options: Options) -> LearningLoss:
    """Build the term."""
    return LearningLoss(tasks, network, options)
