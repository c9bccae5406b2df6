"""Defines the interface of terms, which add losses to the supervised loss."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from labelgrid.basics.progress import Progress
from labelgrid.data.batch import Batch, SoftLabels
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import Source
from labelgrid.nets.network import Network, Output
from labelgrid.pixel.target import Tensors
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDefs, Tasks
from labelgrid.train.step_draws import Draws
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel

#: Makes a further view of a batch: another batch with the same or other images, of any size.
View = Callable[[Batch, Draws], Batch]
#: The further views of a term, by name.
Views = Mapping[str, View]
#: Maps the number of an epoch to its augmented training batches.
ReadEpoch = Callable[[int], Iterator[Batch]]
#: Returns the previous round's model on the training's device, None in the first round. Restored on
#: the first call.
Previous = Callable[[], TrainedModel | None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The data of a training step that a term may read.

    Args:
        batch: images, targets and soft targets of the supervised view.
        output: the network's output for `batch`.
        views: the term's further views by name, each with the network's output for it.
        losses: per-image supervised losses by task, [b].
        progress: 0 at the start of the training, 1 at its end.
        network: the network.
        tasks: the tasks by name.
        number: the number of optimiser steps before this one.
        draws: the term's random draws in this step.
        previous: returns the previous round's model.
        name: the term's name; its soft targets are in `batch.soft[name]`.
        objective: the recipe's `[objective]`: the tasks' weights, and that of the initial
            predictions.
    """

    batch: Batch
    output: Output
    views: Mapping[str, tuple[Batch, Output]]
    losses: Tensors
    progress: float
    network: Network
    tasks: Tasks
    number: int
    draws: Draws
    previous: Previous
    name: str
    objective: ObjectiveOptions


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The data and tools that a term may use before the first step.

    Args:
        batches: maps the number of an epoch to its augmented training batches, on the device.
        network: the network with its initial weights, on the device.
        tasks: the tasks by name.
        definitions: the tasks without torch: names, kinds, label files.
        source: the images and granted labels.
        images: the ids of the training images.
        data: the transform from image to network input.
        steps: the length of the training, in optimiser steps.
        previous: returns the previous round's model.
        progress: receives the progress.
        seed: the seed of the term's own stream. Torch's global generator is seeded from it, too.
        folder: the term's own folder, kept until the training is removed. Save partial results in
            it, so that a preparation that is killed can resume.
        device: the training's device.
        batch: the largest number of images in a batch.
        label_sets: the sets of tasks of which some training image has labels, and of no others.
        relations: the recipe's relations, on or off.
    """

    batches: ReadEpoch
    network: Network
    tasks: Tasks
    definitions: TaskDefs
    source: Source
    images: Sequence[str]
    data: DataOptions
    steps: int
    previous: Previous
    progress: Progress
    seed: int
    folder: Path
    device: torch.device
    batch: int
    label_sets: frozenset[frozenset[str]]
    relations: Sequence[BoundRelation]


@dataclass(frozen=True)
class OwnOptimiser:
    """A term's own optimiser, which the loop steps after the training's optimiser.

    It may hold the term's own parameters only. They are frozen in the training's backward pass:
    gradients flow through them, but do not accumulate in them. The gradients of `loss` reach no
    other parameter.

    Args:
        optimiser: built by the term over some of its parameters; the loop does not change its
            learning rates.
        loss: maps the step to named losses, [b] each; computed under autocast, after the training's
            own step.
    """

    optimiser: torch.optim.Optimizer
    loss: Callable[[Step], Tensors]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of all groups."""
        parameters = []
        for group in self.optimiser.param_groups:
            parameters.extend(group["params"])
        return parameters


@dataclass(frozen=True)
class RateGroup:
    """Parameters of a term that the training's optimiser trains at a special rate.

    Args:
        learning_rate: the learning rate at the start; 0: the training's.
        halve: halve the rate after each such share of the training; 0: it decays as the training's
            does.
        decay: they have the training's weight decay; false: none.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float = 0.0
    halve: float = 0.0
    decay: bool = True


class Term(nn.Module):
    """The base class of terms. Override the methods that you need.

    `build(tasks, network, options)` builds it before any state is loaded. Create all modules and
    buffers there, so that a resumed training has the same ones. A term may copy the network, but
    must not keep it: each step provides it. The term's parameters are trained with the network's,
    and its whole `state_dict` is saved in the checkpoint.

    Attributes:
        one_pass: predict the term's views in one pass of the network with the batch, so that batch
            norm normalises both together. They must then have as many images as the batch, of the
            same size.
        track: also update the running statistics of batch norm from its views; false: from the
            batch alone. Without effect with `one_pass`.
        undivided: why the images of a batch cannot be divided among processes; "" if they can: no
            image's loss depends on the others. The mean of its losses is over all images.
    """

    one_pass: bool = False
    track: bool = True
    undivided: str = ""

    def views(self) -> Views:
        """Return the further views of the batch, by name.

        Two terms may use the same name. A view is predicted without known labels, unless the
        returned batch has `known` labels other than `batch.known`.
        """
        return {}

    def supervised_view(self, batch: Batch, draws: Draws) -> Batch:
        """Return the batch of the supervised loss.

        The given view, or a view with changed images, for example in other colours.

        The further views are made of the given one. With several terms each is given what the one
        before returned.
        """
        return batch

    def prepare(self, data: Preparation) -> None:
        """Prepare the term before the first step, for example train a module.

        Not called when a training is resumed: the checkpoints keep its `state_dict`, and
        `data.folder` keeps its files until the training is removed.
        """

    def resume(self, data: Preparation) -> None:
        """Read what `prepare` left in `data.folder` and checkpoints do not hold.

        Called when a training is resumed.
        """

    def soft_labels(self, data: Preparation) -> SoftLabels | None:
        """Return a function that reads the soft label of an image and a task (a pseudo-label).

        None: there are no soft labels.

        Called after `prepare` or `resume`. Soft labels are flipped, zoomed and cropped as labels
        are, and are in `step.batch.soft[step.name]`. Worker processes call the function.
        """
        return None

    def loss(self, step: Step) -> Tensors:
        """Compute the named losses, [b] each, already weighted."""
        return {}

    def groups(self) -> Sequence[RateGroup]:
        """Return the parameters with a learning rate of their own."""
        return ()

    def optimisers(self) -> Mapping[str, OwnOptimiser]:
        """Return the term's own optimisers, by name (for a discriminator, an auto-encoder)."""
        return {}

    def after_step(self, step: Step) -> None:
        """Update state after all optimiser steps (moving averages, say), without gradients."""

    def evaluated(self) -> Tensors | None:
        """Return the network weights (averaged ones, say) to evaluate, score and predict with.

        They are a `state_dict`. The val split is evaluated with them, and a restored model holds
        them. None: the trained weights.
        """
        return None
