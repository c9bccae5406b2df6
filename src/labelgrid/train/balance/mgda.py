"""MGDA: moves the shared part along the tasks' gradients of least norm, which harms no task.

The gradients are combined with weights of at least 0 whose sum is 1. The objective's weights
multiply the losses first. Source: Sener & Koltun 2018, algorithm 2 and section 3.3 (MGDA-UB).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labelgrid.train.balancer import Balancer, Reduce, TaskLosses
from labelgrid.train.least_norm import least_norm
from labelgrid.train.shared_gradients import SharedGradients


@dataclass(frozen=True)
class Options:
    """The gradients.

    Args:
        at: where the gradients are taken: at the shared `"features"` (MGDA-UB: an upper bound, with
            one pass through the encoder), or at the shared `"parameters"`, with a pass for each
            task.
        normalise: what divides the gradients while the weights are sought, as in the released code:
            `"none"` (the paper), their `"l2"` norm, their task's `"loss"`, or `"loss+"`, the
            product of both.
        heads: the gradients of the tasks' own parameters are `"plain"`, with the objective's
            weights alone (algorithm 2); or `"weighted"` as the shared part's are (the released
            code).
    """

    at: Literal["features", "parameters"] = "features"
    normalise: Literal["none", "l2", "loss", "loss+"] = "none"
    heads: Literal["plain", "weighted"] = "plain"


class MultipleGradientDescent(Balancer):
    """Computes the weights of the labelled tasks anew in each step.

    Deviation: the released code approaches the weights by Frank-Wolfe steps; here they are exact.
    """

    def __init__(self, weights: Mapping[str, float], reduce: Reduce, options: Options) -> None:
        super().__init__()
        self.fixed = weights
        self.reduce = reduce
        self.options = options

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says.

        Raises:
            TrainingError: the network's tasks read more of the encoder than the features at which
                gradients are taken.
        """
        if not step.labelled:
            return step.without_labels(self.reduce)
        losses = step.parts(self.reduce, self.fixed)
        gradients = SharedGradients(step, losses, self.options.at)
        gradients.refuse_bypass()
        weights = self.weights(gradients)
        self.factors = dict(zip(losses, weights, strict=True))
        heads = [1.0] * len(losses)
        if self.options.heads == "weighted":
            heads = weights.tolist()
        gradients.weigh(weights, heads)
        return (weights @ torch.stack(list(losses.values())).to(weights) + step.other).detach()

    def weights(self, gradients: SharedGradients) -> Tensor:
        """Compute the weights of the tasks, [t]."""
        rows = gradients.rows
        values = torch.stack(list(gradients.losses.values())).detach().to(rows)
        norms = rows.norm(dim=1)
        sizes = {
            "none": torch.ones_like(norms),
            "l2": norms,
            "loss": values,
            "loss+": values * norms,
        }
        size = sizes[self.options.normalise].clamp(min=torch.finfo(rows.dtype).tiny)
        scaled = rows / size[:, None]
        products = (scaled @ scaled.T).double().cpu().numpy()
        return torch.from_numpy(least_norm(products)).to(rows)


def build(
    weights: Mapping[str, float], reduce: Reduce, options: Options
) -> MultipleGradientDescent:
    """Build the balancer."""
    return MultipleGradientDescent(weights, reduce, options)
