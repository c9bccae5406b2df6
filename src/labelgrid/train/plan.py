"""What one training is made of, how long it is and how its learning rate falls."""

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

#: A training with a length in steps has at most so many epochs, however few its images.
MOST_EPOCHS = 100


def no_model() -> TrainedModel | None:
    """There is no round before."""
    return None


@dataclass(frozen=True)
class Plan:
    """All that one training is made of.

    Args:
        network: with its initial weights.
        train: ids of the training images; val: ids for model choice, never of test or held-out images.
        identity: what this training is of, as JSON; a checkpoint of another is not resumed.
        previous: restores the model of the round before, for terms that read it.
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
        """Optimiser steps of one pass over the training images."""
        return self.options.steps_per_pass(len(self.train))

    @property
    def passes(self) -> int:
        """Passes an epoch: one, or as many as keep a length in steps at `MOST_EPOCHS` checkpoints and log lines."""
        return max(1, math.ceil(self.options.steps / self.steps_per_pass / MOST_EPOCHS))

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of a full epoch."""
        return self.steps_per_pass * self.passes

    @property
    def drop_last(self) -> bool:
        """Whether an incomplete last batch is left out: always, unless it is all there is."""
        return len(self.train) > self.options.batch

    @property
    def epochs(self) -> int:
        """Length in epochs; the last may be cut short when the length is in steps."""
        steps = self.options.steps
        return math.ceil(steps / self.steps_per_epoch) if steps else self.options.epochs

    @property
    def steps(self) -> int:
        """Length in steps."""
        return self.options.length(len(self.train))

    def learning_rate(self, epoch: int, step: int, start: float = 0.0) -> float:
        """The rate of an optimiser step: warm-up times polynomial decay of `start`, or of the options' rate if it is 0.

        Source: PartAL A.4 decays by epochs. Deviates where the length is in steps: few long epochs would end the
        training at a high rate, so it decays by steps.
        """
        options = self.options
        done = step / self.steps if options.steps else epoch / self.epochs
        return (
            (start or options.learning_rate)
            * (1 - done) ** options.power
            * min(1, (step + 1) / max(options.warmup * self.steps, 1))
        )
