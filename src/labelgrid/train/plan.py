"""Defines the plan of one training: its parts, its length and its learning rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labelgrid.data.dataset import Source
from labelgrid.data.transforms import DataOptions
from labelgrid.nets.network import Network
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.balancer import Balancer
from labelgrid.train.model import TrainedModel
from labelgrid.train.options import ObjectiveOptions, TrainOptions
from labelgrid.train.term import Previous, Term

#: The largest number of epochs of a training whose length is given in steps.
MOST_EPOCHS = 100


def no_model() -> TrainedModel | None:
    """Return None: there is no previous round."""
    return None


@dataclass(frozen=True)
class Plan:
    """Everything that one training needs.

    Args:
        network: with its initial weights.
        train: the ids of the training images.
        val: the ids of the images for model selection, never test or held-out images.
        identity: the recipe, seed, tasks and data of the training, as JSON; a checkpoint with another identity is not
            resumed.
        previous: restores the previous round's model, for terms that read it.
    """

    network: Network
    tasks: Mapping[str, Task]
    definitions: Mapping[str, TaskDef]
    source: Source
    train: Sequence[str]
    val: Sequence[str]
    data: DataOptions
    options: TrainOptions
    objective: ObjectiveOptions
    balancer: Balancer
    seed: int
    terms: Mapping[str, Term] = field(default_factory=dict)
    identity: str = "{}"
    previous: Previous = no_model

    @property
    def steps_per_pass(self) -> int:
        """The number of optimiser steps of one pass over the training images."""
        return self.options.steps_per_pass(len(self.train))

    @property
    def passes(self) -> int:
        """Passes per epoch: one, or as many as limit a training of `steps` to `MOST_EPOCHS` checkpoints."""
        return max(1, math.ceil(self.options.steps / self.steps_per_pass / MOST_EPOCHS))

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimiser steps of a full epoch."""
        return self.steps_per_pass * self.passes

    @property
    def drop_last(self) -> bool:
        """Whether to drop an incomplete last batch: always, unless it is the only one."""
        return len(self.train) > self.options.batch

    @property
    def epochs(self) -> int:
        """The length in epochs; if it is given in steps, the last epoch may be shorter."""
        steps = self.options.steps
        return math.ceil(steps / self.steps_per_epoch) if steps else self.options.epochs

    @property
    def steps(self) -> int:
        """The length in optimiser steps."""
        return self.options.length(len(self.train))

    def learning_rate(self, epoch: int, step: int, start: float = 0.0) -> float:
        """The learning rate of an optimiser step: warm-up times polynomial decay.

        The decay starts from `start`, or from the options' rate if `start` is 0.

        Source: PartAL A.4 decays by epochs. Deviation: if the length is given in steps, the rate decays by steps,
        because a few long epochs would end the training at a high rate.
        """
        options = self.options
        done = step / self.steps if options.steps else epoch / self.epochs
        return (
            (start or options.learning_rate)
            * (1 - done) ** options.power
            * min(1, (step + 1) / max(options.warmup * self.steps, 1))
        )
