"""DWA: weighs a task by how slowly its loss fell over the last two epochs (dynamic weight average).

Source: MTAN (Liu et al. 2019), section 3.3: weights K softmax(r / T) with r = L(t-1) / L(t-2), the
ratio of mean epoch losses. They multiply the objective's weights. In the first two epochs they are
1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelgrid.basics.config import check_ranges
from labelgrid.train.balancer import Reduce, TaskLosses, WeightedBalancer, Weights


@dataclass(frozen=True)
class Options:
    """The softmax.

    Args:
        temperature: T; the larger, the more equal the weights.
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        check_ranges(self, temperature=(1e-3, 1e6))


class DynamicWeightAverage(WeightedBalancer):
    """Keeps the mean losses of each task in the last two epochs with labels of the task.

    Reading: the mean is over labels, not over batches, which have different numbers of them. A task
    that did not have labels in two epochs yet has the weight 1, and the others share the softmax.

    Attributes:
        sums: the sums of the current epoch's losses, [t].
        counts: the counts of the current epoch's labels, [t].
        last: the mean losses of the last epoch, [t]; 0 if there is none.
        before: the mean losses of the epoch before, [t].
        epoch: the number of the current epoch.
    """

    options: Options
    sums: Tensor
    counts: Tensor
    last: Tensor
    before: Tensor
    epoch: Tensor

    def __init__(self, weights: Weights, reduce: Reduce, options: Options) -> None:
        super().__init__(weights, reduce, options)
        for name in ("sums", "counts", "last", "before"):
            self.register_buffer(name, torch.zeros(len(weights)))
        self.register_buffer("epoch", torch.tensor(0))

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says."""
        if step.epoch != int(self.epoch):
            # A task without labels in the epoch that ended keeps its former means.
            seen = self.counts > 0
            self.before = torch.where(seen, self.last, self.before)
            self.last = torch.where(seen, self.sums / self.counts.clamp(min=1), self.last)
            self.sums = torch.zeros_like(self.sums)
            self.counts = torch.zeros_like(self.counts)
            self.epoch.fill_(step.epoch)
        losses = torch.stack([loss.detach() for loss in step.losses.values()], 1)
        self.sums += torch.where(step.present, losses, 0.0).sum(0)
        self.counts += step.present.sum(0)
        factors = dict(zip(step.losses, self.weights(), strict=True))
        self.factors = {name: factors[name] for name in step.labelled}
        weighted = {}
        for name, loss in step.losses.items():
            weighted[name] = self.fixed[name] * factors[name] * loss
        return self.finish(step, weighted)

    def weights(self) -> Tensor:
        """Compute the weights of the current epoch, [t]; their mean is 1."""
        ratios = self.last / self.before
        has_ratio = (self.last != 0) & (self.before != 0)
        fractions = torch.where(has_ratio, ratios / self.options.temperature, -torch.inf).softmax(0)
        return torch.where(has_ratio, has_ratio.sum() * fractions, 1.0)


def build(weights: Weights, reduce: Reduce, options: Options) -> DynamicWeightAverage:
    """Build the balancer."""
    return DynamicWeightAverage(weights, reduce, options)
