"""Uncertainty: learns a log variance s for each task and weighs its loss by exp(-s).

Source: Kendall, Gal & Cipolla 2018, section 3.2, and MTAN (Liu et al. 2019), which takes L / (2 exp
s) + s / 2 for each task. Each image's losses are weighted, so that reductions stay the same, and a
variance is learnt from the images with a label. The objective's weights multiply the losses first.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from labelgrid.basics.config import check_ranges
from labelgrid.train.balancer import Reduce, TaskLosses, WeightedBalancer, Weights


@dataclass(frozen=True)
class Options:
    """The log variances.

    Args:
        form: `"mtan"`, L / (2 exp s) + s / 2 for all tasks; or `"kendall"`, with the likelihood of
            a scaled softmax for tasks of classes: L / exp s + s / 2 (equation 10).
        start: the first log variances. The papers do not give it; MTAN's released code: -0.5.
        learning_rate: the learning rate of the log variances; 0: the training's, as in MTAN's
            released code.
    """

    form: Literal["mtan", "kendall"] = "mtan"
    start: float = 0.0
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, start=(-20, 20), learning_rate=(0, 10))


class LearntUncertainty(WeightedBalancer):
    """Divides each labelled image's losses by learnt variances, and adds half the log variances."""

    options: Options

    def __init__(self, weights: Weights, reduce: Reduce, options: Options) -> None:
        super().__init__(weights, reduce, options)
        self.learning_rate = options.learning_rate
        self.logs = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(options.start)) for name in weights}
        )

    def backward(self, step: TaskLosses) -> Tensor:
        """As `Balancer.backward`. The log variance of a task without a label gets no gradient."""
        if not step.labelled:
            return step.without_labels(self.reduce)
        kept = step.only(step.labelled)
        self.factors = {}
        likelihoods = {}  # negative and logarithmic, but for a constant
        for name, loss in kept.losses.items():
            is_softmax = self.options.form == "kendall" and name in step.classes
            factor = (1.0 if is_softmax else 0.5) * (-self.logs[name]).exp()
            self.factors[name] = factor.detach()
            likelihoods[name] = factor * self.fixed[name] * loss + self.logs[name] / 2
        return self.finish(kept, likelihoods)


def build(weights: Weights, reduce: Reduce, options: Options) -> LearntUncertainty:
    """Build the balancer."""
    return LearntUncertainty(weights, reduce, options)
