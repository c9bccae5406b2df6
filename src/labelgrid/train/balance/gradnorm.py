"""GradNorm: learns weights that give slower tasks larger gradients.

Source: Chen et al. 2018, algorithm 1. The sum of the weights is the number of tasks; they multiply
the objective's weights.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from labelgrid.basics.config import check_ranges
from labelgrid.train.balancer import Reduce, TaskLosses, WeightedBalancer, Weights
from labelgrid.train.shared_gradients import SharedGradients

#: The least weight. Deviation: the paper's weights can fall below 0, where a loss would be
#: increased.
LEAST = 1e-3


@dataclass(frozen=True)
class Options:
    """The weights.

    Args:
        alpha: the power of a task's relative rate of learning in its target; 0: all norms are to be
            equal. 1.5 is the paper's for NYUv2.
        at: where the norms are taken: at the last shared `"layer"` (the paper), the shared
            parameter with two axes or more nearest to the shared features; or at these
            `"features"`.
        heads: the gradients of the tasks' own parameters are `"weighted"`, as the paper's loss is;
            or `"plain"`, with the objective's weights alone, as in LibMTL.
        learning_rate: the learning rate of the weights; 0: the training's.
    """

    alpha: float = 1.5
    at: Literal["layer", "features"] = "layer"
    heads: Literal["weighted", "plain"] = "weighted"
    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        check_ranges(self, alpha=(0, 10), learning_rate=(0, 10))


class GradNorm(WeightedBalancer):
    """Moves each labelled task's gradient norm towards a multiple of the mean norm.

    The factor is the task's relative loss to the power alpha.

    Reading: L(0) is a task's mean loss in the first batch with a label of the task. Means over
    tasks cover the tasks with a label in the batch; the weights of other tasks get no gradient.

    Attributes:
        initial: L(0) by task, [t]; 0 where the task had no label yet.
    """

    options: Options
    initial: Tensor

    def __init__(self, weights: Weights, reduce: Reduce, options: Options) -> None:
        super().__init__(weights, reduce, options)
        self.learning_rate = options.learning_rate
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.ones(())) for name in weights})
        self.register_buffer("initial", torch.zeros(len(weights)))

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says."""
        if not step.labelled:
            return step.without_labels(self.reduce)
        self._normalise()
        losses = step.parts(self.reduce, self.fixed)
        gradients = SharedGradients(step, losses, "features")
        weights = torch.stack([self.weights[name] for name in losses])
        if self.options.at == "features":
            gradients.refuse_bypass("layer")
            rows = gradients.rows
        else:
            rows = gradients.at_layer(gradients.last_layer())
        norms = weights * rows.norm(dim=1)
        target = norms.detach().mean() * self._relative_losses(step) ** self.options.alpha
        factors = weights.detach()
        self.factors = dict(zip(losses, factors, strict=True))
        heads = [1.0] * len(losses)
        if self.options.heads == "weighted":
            heads = factors.tolist()
        return gradients.weigh(factors, heads, (norms - target).abs().sum())

    def _relative_losses(self, step: TaskLosses) -> Tensor:
        """Divide each labelled task's loss by its first, and all ratios by the mean: [t]."""
        names = list(step.losses)
        columns = [names.index(name) for name in step.labelled]
        now = torch.stack([step.mean(name) for name in step.labelled]).to(self.initial)
        first = self.initial[columns]
        first = torch.where(first == 0, now, first)
        self.initial[columns] = first
        ratios = torch.where(first == 0, 1.0, now / first)
        return ratios / ratios.mean()

    @torch.no_grad()
    def _normalise(self) -> None:
        """Scale the weights after the optimiser's step: their sum is the number of tasks."""
        weights = torch.stack(list(self.weights.values())).clamp(min=LEAST)
        scaled = weights * len(weights) / weights.sum()
        for weight, value in zip(self.weights.values(), scaled, strict=True):
            weight.copy_(value)


def build(weights: Weights, reduce: Reduce, options: Options) -> GradNorm:
    """Build the balancer."""
    return GradNorm(weights, reduce, options)
