"""What can be added to the supervised loss (terms), and what turns task losses into a backward pass (balancers)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from labelgrid.data.batch import Batch
from labelgrid.nets.network import Network, Output
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task

#: Makes a further view of a batch's images and targets.
View = Callable[[Batch], Batch]


@dataclass(frozen=True)
class Step:
    """What a term may look at in one training step.

    Args:
        batch: images and targets of the supervised view.
        output: the network's output for them.
        views: further views by name, each with its output, as the terms asked for.
        losses: per-image supervised losses by task, [b].
        progress: 0 at the start of training, 1 at its end.
        network: the network itself.
        tasks: the tasks by name.
    """

    batch: Batch
    output: Output
    views: Mapping[str, tuple[Batch, Output]]
    losses: Mapping[str, Tensor]
    progress: float
    network: Network
    tasks: Mapping[str, Task]


class Term(Protocol):
    """An addition to the loss. A term that is an `nn.Module` has its parameters trained and its `state_dict` saved.

    An optimiser of its own is no part of that: a term that has one gives its state in `get_extra_state` and takes it
    back in `set_extra_state`, and keeps what it trains itself from the training (`requires_grad_(False)` outside
    `own_step`).
    """

    def views(self) -> Mapping[str, View]:
        """Further views of the batch it needs, by name."""

    def prepare(self, batches: Callable[[], Any]) -> None:
        """Train what must exist before the first step; `batches()` iterates over the training data."""

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """Named losses, [b] each, already weighted."""

    def own_step(self, step: Step) -> None:
        """A step with an optimiser of its own (discriminators, auto-encoders); most do nothing."""

    def after_step(self, step: Step) -> None:
        """After the optimiser's step (moving averages); most do nothing."""


class BaseTerm(nn.Module):
    """A term that needs no further view, no preparation and no step of its own: override what you use."""

    def views(self) -> Mapping[str, View]:
        """No further view."""
        return {}

    def prepare(self, batches: Callable[[], Any]) -> None:
        """Nothing to prepare."""

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """No loss."""
        return {}

    def own_step(self, step: Step) -> None:
        """No step of its own."""

    def after_step(self, step: Step) -> None:
        """Nothing after the step."""


#: Task losses {task: [b]} and who has a label [b, t] -> the supervised loss, a scalar.
Reduce = Callable[[Mapping[str, Tensor], Tensor], Tensor]


class Balancer(Protocol):
    """Does the backward pass of the task losses itself. State and parameters are saved if it is an `nn.Module`."""

    def backward(
        self, losses: Mapping[str, Tensor], present: Tensor, other: Tensor, shared: Tensor, backward: Callable[..., Any]
    ) -> Tensor:
        """Back-propagate the task losses and `other`.

        Args:
            losses: per-image losses by task, [b]; 0 where the image lacks the task.
            present: bool [b, t], who has which label, tasks in the losses' order.
            other: the terms' loss, a scalar.
            shared: the encoder's fused map, where gradient-level balancers compare tasks.
            backward: does `loss.backward()` on the device in use.

        Returns:
            the total loss, for the log.
        """


def targets_present(targets: Mapping[str, Target], names: Sequence[str]) -> Tensor:
    """Bool [b, t]: which image has a valid pixel of which task."""
    return torch.stack([targets[name].present for name in names], 1)
