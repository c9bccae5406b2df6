"""Defines the interface of balancers, which turn the losses of several tasks into one backward pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

#: Maps task losses {task: [b]} and the mask of labels [b, t] to the supervised loss, a scalar.
Reduce = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class TaskLosses:
    """The losses of one training step, and the data by which a balancer may compare the tasks.

    Args:
        losses: per-image losses by task, [b]; 0 where the image lacks the task's label.
        present: bool [b, t], True where an image has a task's label; tasks in the order of `losses`.
        other: the sum of the terms' losses, a scalar.
        features: the shared features [b, c, h, w] from which all tasks are predicted, with their graph.
        parameters: the shared parameters, on which every task's loss depends.
        step: the number of optimiser steps before this one.
        progress: 0 at the start of the training, 1 at its end.
        backward: runs `loss.backward()` with the device's loss scaling.
    """

    losses: Mapping[str, Tensor]
    present: Tensor
    other: Tensor
    features: Tensor
    parameters: Sequence[nn.Parameter]
    step: int
    progress: float
    backward: Callable[..., Any]

    @property
    def labelled(self) -> list[str]:
        """The tasks with at least one label in the batch. The loss of any other task is 0 and carries no information.

        Example:
            >>> import torch
            >>> zero = torch.zeros(2)
            >>> present = torch.tensor([[True, False], [False, False]])
            >>> TaskLosses({"a": zero, "b": zero}, present, zero, zero, (), 0, 0.0, print).labelled
            ['a']
        """
        has_label = self.present.any(0).tolist()
        return [name for name, labelled in zip(self.losses, has_label, strict=True) if labelled]

    def of(self, task: str, reduce: Reduce) -> Tensor:
        """One task's loss, a scalar: `reduce` of this task alone."""
        column = list(self.losses).index(task)
        return reduce({task: self.losses[task]}, self.present[:, column : column + 1])


class Balancer(nn.Module):
    """Runs the backward pass of the task losses. Its parameters are trained and its `state_dict` is saved.

    Attributes:
        learning_rate: the initial rate of its own parameters, which decays as the training's does; 0: the training's
            rate. These parameters have no weight decay.
    """

    learning_rate: float = 0.0

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the task losses and `step.other`; ignore tasks without a label in the batch.

        Returns:
            The total loss, a scalar, for the log.
        """
        raise NotImplementedError
