"""Uncertainty: learns a log variance s for each task and weighs its loss by exp(-s).

Source: Kendall, Gal & Cipolla 2018, section 3.2, and MTAN (Liu et al. 2019), which takes L / (2 exp
s) + s / 2 for each task. It works on each image's losses, so that they are reduced as without it,
and a variance is learnt from the images with a label. The objective's weights multiply the losses
first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from labelgrid.basics.config import check_ranges
from labelgrid.train.balancer import Balancer, Reduce, TaskLosses


@dataclass(frozen=True)
class Options:
    """The log variances.

    Args:
        form: `"mtan"`, L / (2 exp s) + s / 2 for all tasks; or `"kendall"`, with the likelihood of
            a scaled softmax for tasks of classes: L / exp s + s / 2 (equation 10).
        start: the first log variances. The papers do not give it; MTAN's released code: -0.5.
        learning_rate: of the log variances; 0: the training's, as in MTAN's released code.
    """

    form: Literal["mtan", "kendall"] = "mtan"
    start: float = 0.0
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, start=(-20, 20), learning_rate=(0, 10))


class LearntUncertainty(Balancer):
    """Divides each labelled image's losses by learnt variances, and adds half the log variances."""

    def __init__(self, weights: Mapping[str, float], reduce: Reduce, options: Options) -> None:
        super().__init__()
        self.weights = weights
        self.reduce = reduce
        self.options = options
        self.learning_rate = options.learning_rate
        self.logs = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(options.start)) for name in weights}
        )

    def backward(self, step: TaskLosses) -> Tensor:
        """As `Balancer.backward`. The log variance of a task without a label gets no gradient."""
        if not step.labelled:
            return step.without_labels(self.reduce)
        kept = step.only(step.labelled)
        self.factors = {
            name: self._factor(name, name in step.classes).detach() for name in kept.losses
        }
        likelihoods = {
            name: self._likelihood(name, loss, name in step.classes)
            for name, loss in kept.losses.items()
        }
        total = self.reduce(likelihoods, kept.present) + step.other
        step.backward(total)
        return total.detach()

    def _likelihood(self, task: str, loss: Tensor, of_classes: bool) -> Tensor:
        """The negative log likelihoods [b] of a task's labels, but for a constant."""
        return self._factor(task, of_classes) * self.weights[task] * loss + self.logs[task] / 2

    def _factor(self, task: str, of_classes: bool) -> Tensor:
        """What a task's loss is multiplied by."""
        return (1.0 if of_classes and self.options.form == "kendall" else 0.5) * (
            -self.logs[task]
        ).exp()


def build(weights: Mapping[str, float], reduce: Reduce, options: Options) -> LearntUncertainty:
    """Build the balancer."""
    return LearntUncertainty(weights, reduce, options)
