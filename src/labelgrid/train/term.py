"""What is added to the supervised loss, and what it may look at, draw, train and keep."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from labelgrid.data.batch import Batch, SoftLabels
from labelgrid.data.dataset import Source
from labelgrid.data.transforms import DataOptions
from labelgrid.nets.network import Network, Output
from labelgrid.progress import Progress
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.draws import Draws
from labelgrid.train.model import TrainedModel

#: Makes a further view: another batch, of the same images or of others, of any size.
View = Callable[[Batch, Draws], Batch]
#: The model of the round before, on the training's device; None in a first round. Restored when first asked for.
Previous = Callable[[], TrainedModel | None]


@dataclass(frozen=True)
class Step:
    """What a term may look at in one training step.

    Args:
        batch: images, targets and the terms' soft targets of the supervised view.
        output: the network's output for them.
        views: the term's further views by name, each with the network's output for it.
        losses: per-image supervised losses by task, [b].
        progress: 0 at the start of training, 1 at its end.
        network: the network itself.
        tasks: the tasks by name.
        number: optimiser steps done before this one.
        draws: the term's random draws in this step.
        previous: the model of the round before.
        name: the term's, under which its soft targets are in `batch.soft`.
    """

    batch: Batch
    output: Output
    views: Mapping[str, tuple[Batch, Output]]
    losses: Mapping[str, Tensor]
    progress: float
    network: Network
    tasks: Mapping[str, Task]
    number: int
    draws: Draws
    previous: Previous
    name: str


@dataclass(frozen=True)
class Preparation:
    """What a term may use before the first step.

    Args:
        batches: an epoch's number -> its augmented training batches, on the device.
        network: with its initial weights, on the device.
        tasks: the tasks by name, and their definitions (label files).
        definitions: the tasks without torch: names, kinds, label files.
        source: of images and granted labels.
        images: ids of the training images.
        data: how images become a network's input.
        previous: the model of the round before.
        progress: to report to.
        seed: of the term's own stream. Torch's global stream is seeded from it, too.
        folder: the term's own, kept while the training is resumed and removed with it: what is made in steps goes
            there, so that a killed preparation does not begin again.
        device: of the training.
    """

    batches: Callable[[int], Iterator[Batch]]
    network: Network
    tasks: Mapping[str, Task]
    definitions: Mapping[str, TaskDef]
    source: Source
    images: Sequence[str]
    data: DataOptions
    previous: Previous
    progress: Progress
    seed: int
    folder: Path
    device: torch.device


@dataclass(frozen=True)
class OwnOptimiser:
    """An optimiser of a term's own, which the loop steps after its own.

    Its parameters are the term's and no others. In the training's own backward pass they are constants: gradients go
    through them, never to them. Its loss's gradients in turn reach no other parameter.

    Args:
        optimiser: made by the term over some of its parameters; the loop changes none of its rates.
        loss: of the step -> named losses, [b] each; computed under autocast, after the training's own step.
    """

    optimiser: torch.optim.Optimizer
    loss: Callable[[Step], Mapping[str, Tensor]]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What it trains."""
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]


class Term(nn.Module):
    """An addition to the loss: override what you use.

    `build(tasks, network, options)` makes it, before any state is loaded: modules and buffers are all made there, so
    that a resumed training has the same ones. The network may be copied, but is not kept: each step has it. Its
    parameters are trained with the network's, its whole `state_dict` is in the checkpoint.
    """

    def views(self) -> Mapping[str, View]:
        """Further views of the batch it needs, by name; names are the term's own."""
        return {}

    def prepare(self, data: Preparation) -> None:
        """Train or make what must exist before the first step. Not called when a training is resumed.

        What it leaves in the term's parameters and buffers is in the checkpoints, what it leaves in `data.folder` is
        there when the training is resumed.
        """

    def soft_labels(self, data: Preparation) -> SoftLabels | None:
        """Targets with confidence from files of the round (pseudo-labels): what reads those of an image and a task.

        Called after `prepare`, and when a training is resumed. They go through the batch's geometry as labels do and
        arrive in `step.batch.soft[step.name]`. Worker processes read them.
        """
        return None

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """Named losses, [b] each, already weighted."""
        return {}

    def optimisers(self) -> Mapping[str, OwnOptimiser]:
        """Optimisers of its own, by name (a discriminator's, an auto-encoder's)."""
        return {}

    def after_step(self, step: Step) -> None:
        """After all optimisers' steps (moving averages), without gradients."""

    def evaluated(self) -> Mapping[str, Tensor] | None:
        """The network's weights that are evaluated, scored and predicted with (averaged ones), as its `state_dict`.

        None: the trained ones. They are what the val split measures and what a restored model holds.
        """
        return None
