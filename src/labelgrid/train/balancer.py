"""What turns the losses of several tasks into one backward pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

#: Task losses {task: [b]} and who has a label [b, t] -> the supervised loss, a scalar.
Reduce = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class TaskLosses:
    """The losses of one training step, and what a balancer may compare the tasks by.

    Args:
        losses: per-image losses by task, [b]; 0 where the image lacks the task's label.
        present: bool [b, t], which image has which label, tasks in the losses' order.
        other: the terms' loss, a scalar.
        features: the shared features [b, c, h, w] that all tasks are predicted from, with their graph.
        parameters: the shared parameters: those that every task's loss depends on.
        step: optimiser steps done before this one.
        progress: 0 at the start of the training, 1 at its end.
        backward: does `loss.backward()` on the device in use, with its loss scaling.
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
        """The tasks of which the batch has a label; the loss of any other is 0 and says nothing of the task.

        Example:
            >>> import torch
            >>> zero = torch.zeros(2)
            >>> present = torch.tensor([[True, False], [False, False]])
            >>> TaskLosses({"a": zero, "b": zero}, present, zero, zero, (), 0, 0.0, print).labelled
            ['a']
        """
        found = self.present.any(0).tolist()
        return [name for name, has in zip(self.losses, found, strict=True) if has]

    def of(self, task: str, reduce: Reduce) -> Tensor:
        """One task's loss, a scalar: `reduce` of its images alone."""
        column = list(self.losses).index(task)
        return reduce({task: self.losses[task]}, self.present[:, column : column + 1])


class Balancer(nn.Module):
    """Does the backward pass of the task losses. Its parameters are trained and its `state_dict` is saved.

    Attributes:
        learning_rate: of its own parameters, which decays as the training's does; 0: the training's. They have no
            weight decay.
    """

    learning_rate: float = 0.0

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the task losses and `step.other`; a task without a label in the batch takes no part.

        Returns:
            the total loss, a scalar, for the log.
        """
        raise NotImplementedError
