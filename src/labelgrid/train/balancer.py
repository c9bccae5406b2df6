"""Defines the interface of balancers, which turn the losses of tasks into a backward pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from labelgrid.pixel.target import Tensors
from labelgrid.train.group import ALONE, TrainingGroup

#: The weight of each task's loss.
Weights = Mapping[str, float]
#: Maps task losses {task: [b]} and the mask of labels [b, t] to the supervised loss, a scalar.
Reduce = Callable[[Tensors, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class TaskLosses:
    """The losses of a training step, and the data by which a balancer may compare the tasks.

    Args:
        losses: per-image losses by task, [b]; 0 where the image lacks the task's label.
        present: bool [b, t], True where an image has a task's label; tasks in the order of
            `losses`.
        other: the sum of the terms' losses, a scalar.
        features: the shared features [b, c, h, w] from which all tasks are predicted, with the
            graph; b also counts images of views predicted in one pass with the batch.
        parameters: the shared parameters, on which every task's loss depends.
        step: the number of optimiser steps before this one.
        progress: 0 at the start of the training, 1 at its end.
        backward: runs `loss.backward()` with the device's loss scaling.
        epoch: the number of whole epochs before this step.
        classes: the tasks whose predictions are probabilities of classes; the others predict
            values.
        group: the processes that train together. Losses and labels cover the images of all
            processes, the graph and the features only the images of this process; the gradients
            left by `backward` are summed over the processes.
    """

    losses: Tensors
    present: Tensor
    other: Tensor
    features: Tensor
    parameters: Sequence[nn.Parameter]
    step: int
    progress: float
    backward: Callable[..., Any]
    epoch: int = 0
    classes: frozenset[str] = frozenset()
    group: TrainingGroup = ALONE

    @property
    def labelled(self) -> list[str]:
        """The tasks with at least one label in the batch.

        The loss of any other task is 0 and carries no information.

        Example:
            >>> zero = torch.zeros(2)
            >>> step = TaskLosses(
            ...     losses={"a": zero, "b": zero},
            ...     present=torch.tensor([[True, False], [False, False]]),
            ...     other=zero,
            ...     features=zero,
            ...     parameters=(),
            ...     step=0,
            ...     progress=0.0,
            ...     backward=print,
            ... )
            >>> step.labelled
            ['a']
        """
        has_label = self.present.any(0).tolist()
        names = []
        for name, labelled in zip(self.losses, has_label, strict=True):
            if labelled:
                names.append(name)
        return names

    def loss_of(self, task: str, reduce: Reduce) -> Tensor:
        """Return one task's loss, a scalar: `reduce` of this task alone."""
        column = list(self.losses).index(task)
        return reduce({task: self.losses[task]}, self.present[:, column : column + 1])

    def only(self, tasks: Sequence[str]) -> "TaskLosses":
        """Return the same step with some of its tasks."""
        names = list(self.losses)
        columns = [names.index(task) for task in tasks]
        return replace(
            self,
            losses={task: self.losses[task] for task in tasks},
            present=self.present[:, columns],
        )

    def parts(self, reduce: Reduce, weights: Weights) -> dict[str, Tensor]:
        """Split the supervised loss into the labelled tasks' shares, scalars whose sum is the loss.

        Unlike `loss_of`, a share of `image_mean` is divided by the number of labels of each image.

        Example:
            >>> from functools import partial
            >>> from labelgrid.train.objective import supervised_loss
            >>> step = TaskLosses(
            ...     losses={"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([0.0, 2.0])},
            ...     present=torch.tensor([[True, False], [True, True]]),
            ...     other=torch.zeros(()),
            ...     features=torch.zeros(2),
            ...     parameters=(),
            ...     step=0,
            ...     progress=0.0,
            ...     backward=print,
            ... )
            >>> reduce = partial(supervised_loss, reduction="image_mean")
            >>> parts = step.parts(reduce, {"a": 1.0, "b": 1.0})
            >>> {name: part.item() for name, part in parts.items()}
            {'a': 2.0, 'b': 0.5}
        """
        step = self.only(self.labelled)
        zeros = {name: torch.zeros_like(loss) for name, loss in step.losses.items()}
        parts = {}
        for name, loss in step.losses.items():
            parts[name] = reduce({**zeros, name: weights[name] * loss}, step.present)
        return parts

    def mean(self, task: str) -> Tensor:
        """Return a task's mean loss over the images with its label, a scalar without a graph."""
        column = list(self.losses).index(task)
        return self.losses[task].detach()[self.present[:, column]].mean()

    def without_labels(self, reduce: Reduce) -> Tensor:
        """Back-propagate a step in which no image has a label: only the terms' losses count.

        Returns the total.
        """
        total = reduce(self.losses, self.present) + self.other
        if total.requires_grad:
            self.backward(total)
        return total.detach()


class Balancer(nn.Module):
    """Runs the backward pass of the task losses.

    Its parameters are trained and its `state_dict` is saved.

    Attributes:
        learning_rate: the initial rate of its own parameters, which decays as the training's does;
            0: the training's rate. These parameters have no weight decay.
        factors: the factors by which the labelled tasks' gradients at the shared part were
            multiplied in the last step, beside the objective's weights: scalars by task, for the
            log. Empty if there are no such numbers.
        undivided: why the images of a batch cannot be divided among processes; "" if they can. Each
            process then computes the same of the losses of all images, so the gradients of its own
            parameters are averaged.
    """

    learning_rate: float = 0.0
    undivided: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.factors: Tensors = {}

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the task losses and `step.other`.

        Ignore tasks without a label in the batch.

        Returns:
            The total loss, a scalar, for the log.
        """
        raise NotImplementedError


class WeightedBalancer(Balancer):
    """The base class of balancers that multiply the losses by the objective's weights first.

    Args:
        weights: the weights of the objective, by task.
        reduce: reduces losses to a scalar, as the objective says.
        options: the options of the balancer.
    """

    def __init__(self, weights: Weights, reduce: Reduce, options: object = None) -> None:
        super().__init__()
        self.fixed = weights
        self.reduce = reduce
        self.options = options

    def finish(self, step: TaskLosses, losses: Tensors) -> Tensor:
        """Back-propagate the reduced losses and the terms' losses; return the total."""
        total = self.reduce(losses, step.present) + step.other
        step.backward(total)
        return total.detach()
