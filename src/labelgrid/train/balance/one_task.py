"""Learns a single task in each step, by its loss alone: no task disturbs another.

The task is drawn among those with a label in the batch. The terms' losses count in every step.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labelgrid.basics.streams import stream
from labelgrid.train.balancer import Reduce, TaskLosses, WeightedBalancer, Weights


@dataclass(frozen=True)
class Options:
    """The order of the tasks.

    Args:
        order: `"random"` draws a task in each step, all equally likely; `"turns"` takes the task
            that was learnt longest ago, at first in the tasks' order.
    """

    order: Literal["random", "turns"] = "random"


class SingleTask(WeightedBalancer):
    """Multiplies the loss of a labelled task by its fixed weight and back-propagates the product.

    The draw belongs to the number of the step, so that a resumed training draws the same tasks.
    `last` holds the last step of each task, -1 before there is one. A task is learnt in about 1/K
    of the steps: against `fixed`, terms count K times as much beside each task under `task_sum`.

    Source: gradient isolation of StableMTL (2506.08013), as described by others; the paper itself
    was not seen.
    Deviation: StableMTL's batches hold one task; here a batch holds all, and one of its tasks is
    learnt.
    """

    options: Options
    seed: Tensor
    last: Tensor

    def __init__(self, weights: Weights, reduce: Reduce, options: Options) -> None:
        super().__init__(weights, reduce, options)
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("last", torch.full((len(weights),), -1))

    def task(self, step: TaskLosses) -> str | None:
        """Choose the task that is learnt in a step; None if no image has a label."""
        labelled = step.labelled
        if not labelled:
            return None
        if self.options.order == "turns":
            ages = dict(zip(step.losses, self.last.tolist(), strict=True))
            return min(labelled, key=lambda task: ages[task])
        rng = stream(int(self.seed), "task", step.step)
        return labelled[int(rng.integers(len(labelled)))]

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says."""
        task = self.task(step)
        if task is None:
            return step.without_labels(self.reduce)
        self.last[list(step.losses).index(task)] = step.step
        total = self.fixed[task] * step.loss_of(task, self.reduce) + step.other
        step.backward(total)
        return total.detach()


def build(weights: Weights, reduce: Reduce, options: Options) -> SingleTask:
    """Build the balancer."""
    return SingleTask(weights, reduce, options)
