"""MGDA: combines the tasks' gradients at the shared parameters so that no task's loss increases.

The weights are those of the smallest convex combination of the tasks' gradients. Source: Sener &
Koltun 2018, section 3.2, algorithm 2 (Frank-Wolfe).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labelgrid.train.balancer import Balancer, Reduce, TaskLosses


@dataclass(frozen=True)
class Options:
    """The solver.

    Args:
        steps: of Frank-Wolfe, at most; two tasks need one.
        tolerance: a step shorter than this is the last.
    """

    steps: int = 50
    tolerance: float = 1e-6


def smallest(products: Tensor, steps: int, tolerance: float) -> Tensor:
    """The weights [t] of the convex combination of least norm of vectors with the inner products [t, t].

    Example:
        >>> smallest(torch.tensor([[1.0, 0.0], [0.0, 4.0]]), 50, 1e-6)
        tensor([0.8000, 0.2000])
    """
    products = products.double()
    weights = torch.full(
        (len(products),), 1 / len(products), dtype=torch.float64, device=products.device
    )
    for _ in range(steps):
        best = int((products @ weights).argmin())
        mine, its, both = (
            weights @ products @ weights,
            products[best, best],
            products[best] @ weights,
        )
        length = ((mine - both) / (mine + its - 2 * both).clamp(min=1e-30)).clamp(0, 1)
        weights = (1 - length) * weights
        weights[best] += length
        if length < tolerance:
            break
    return weights.float()


class Mgda(Balancer):
    """Computes new weights of the labelled tasks in each step."""

    def __init__(self, weights: Mapping[str, float], reduce: Reduce, options: Options) -> None:
        super().__init__()
        self.fixed, self.reduce, self.options = weights, reduce, options
        self.last: dict[str, float] = {}

    def backward(self, step: TaskLosses) -> Tensor:
        """As `Balancer.backward`."""
        losses = {
            name: self.fixed[name] * step.loss_of(name, self.reduce) for name in step.labelled
        }
        total = step.other
        if losses:
            own = torch.stack([self._gradient(loss, step) for loss in losses.values()])
            gradients = step.group.add_up(own)  # several processes differentiate a share each
            weights = smallest(gradients @ gradients.T, self.options.steps, self.options.tolerance)
            self.last = dict(zip(losses, weights.tolist(), strict=True))
            total = total + sum(
                weight * loss for weight, loss in zip(weights, losses.values(), strict=True)
            )
        step.backward(total)
        return total.detach()

    @staticmethod
    def _gradient(loss: Tensor, step: TaskLosses) -> Tensor:
        """One task's flattened gradient at the shared parameters."""
        found = torch.autograd.grad(loss, step.parameters, retain_graph=True, allow_unused=True)
        return torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).flatten()
                for p, g in zip(step.parameters, found, strict=True)
            ]
        )


def build(weights: Mapping[str, float], reduce: Reduce, options: Options) -> Mgda:
    """Build the balancer."""
    return Mgda(weights, reduce, options)
