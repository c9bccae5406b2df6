"""Computes each task's gradient at the shared features or parameters, and back-propagates a combination of them.

At the features, the combination passes through the encoder once (MGDA-UB; Sener & Koltun 2018,
section 3.3).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from labelgrid.errors import TrainingError
from labelgrid.train.balancer import TaskLosses

Place = Literal["features", "parameters"]


class SharedGradients:
    """The gradients of several losses, before they are added up.

    The loss scale of half precision is in no value here; the gradients that are left for the
    optimiser have it.

    Args:
        step: the training step.
        losses: a scalar for each task.
        at: where the gradients are taken.

    Attributes:
        rows: the flattened gradients, [t, n], one row per task in the order of `losses`.
        heads: the parameters that the losses depend on, but for the shared ones.
        bypassed: whether the losses depend on the shared parameters in other ways than through the
            shared features. The gradients at the features then lack a part.

    Example:
        >>> from torch import nn
        >>> layer, head = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor(3.0))
        >>> features = layer * 2
        >>> losses = {"a": features.sum() * head, "b": features.square().sum()}
        >>> present = torch.ones(1, 2, dtype=torch.bool)
        >>> step = TaskLosses({}, present, torch.zeros(()), features, [layer], 0, 0.0, Tensor.backward)
        >>> gradients = SharedGradients(step, losses, "features")
        >>> gradients.rows
        tensor([[3., 3.],
                [4., 8.]])
        >>> gradients.backward(gradients.rows.mean(0), heads=[1.0, 1.0])
        >>> layer.grad, head.grad
        (tensor([ 7., 11.]), tensor(6.))
    """

    def __init__(self, step: TaskLosses, losses: Mapping[str, Tensor], at: Place) -> None:
        self.step = step
        self.losses = losses
        self.at = at
        self.scale = _scale(step)
        shared = {id(parameter) for parameter in step.parameters}
        leaves = _leaves(losses.values(), step.features if at == "features" else None)
        self.heads = [leaf for leaf in leaves if id(leaf) not in shared]
        self.bypassed = at == "features" and len(self.heads) < len(leaves)
        places = [step.features] if at == "features" else list(step.parameters)
        found = [self._of(loss, [*places, *self.heads]) for loss in losses.values()]
        self.own = [gradients[len(places) :] for gradients in found]
        self.rows = torch.stack([_flat(places, gradients) for gradients in found]) / self.scale

    def _of(self, loss: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor | None]:
        return torch.autograd.grad(self.scale * loss, inputs, retain_graph=True, allow_unused=True)

    def last_layer(self) -> Tensor:
        """The shared parameter with two axes or more that is nearest to the features in their graph."""
        shared = {id(parameter) for parameter in self.step.parameters if parameter.dim() > 1}
        queue = deque([self.step.features.grad_fn])
        seen = set[object]()
        while queue:
            node = queue.popleft()
            if node is None or node in seen:
                continue
            seen.add(node)
            leaf = getattr(node, "variable", None)
            if isinstance(leaf, Tensor) and id(leaf) in shared:
                return leaf
            queue.extend(parent for parent, _ in node.next_functions)
        return self.step.parameters[-1]

    def at_layer(self, layer: Tensor) -> Tensor:
        """The gradients [t, n] at a layer on which the shared features depend, if `rows` are those at the features."""
        features = self.step.features
        if self.bypassed:  # the gradients at the features lack a part
            found = [self._of(loss, [layer]) for loss in self.losses.values()]
            return torch.stack([_flat([layer], gradients) for gradients in found]) / self.scale
        given = (self.scale * self.rows).to(features.dtype).view(-1, *features.shape)
        found = [
            torch.autograd.grad(features, [layer], row, retain_graph=True, allow_unused=True)
            for row in given
        ]
        return torch.stack([_flat([layer], gradients) for gradients in found]) / self.scale

    def refuse_bypass(self, instead: str = "parameters") -> None:
        """Raise if the gradients at the features lack a part.

        `instead` is the option that does without them.

        Raises:
            TrainingError: they do.
        """
        if self.bypassed:
            raise TrainingError(
                "The network's tasks read more of its encoder than the shared features, at which [balance] compares "
                "their gradients.",
                next_step=f'Set at = "{instead}" in the options of [balance].',
            )

    def backward(
        self, combined: Tensor, heads: Sequence[float], more: Tensor | float = 0.0
    ) -> None:
        """Back-propagate `combined` instead of the tasks' gradients, and the terms' losses.

        Args:
            combined: [n], the gradient for the shared part.
            heads: the factor of each task's gradient at its own parameters.
            more: a loss that is back-propagated, too.
        """
        rest = self.step.other + more
        if self.at == "features":
            features = self.step.features
            rest = rest + (features.to(combined.dtype) * combined.view(features.shape)).sum()
        else:
            sizes = [parameter.numel() for parameter in self.step.parameters]
            parts = torch.split(self.scale * combined, sizes)
            for parameter, part in zip(self.step.parameters, parts, strict=True):
                _add(parameter, part.view(parameter.shape).to(parameter.dtype))
        self._add_heads(heads)
        if rest.requires_grad:
            self.step.backward(rest)

    def weigh(self, weights: Tensor, heads: Sequence[float], more: Tensor | float = 0.0) -> None:
        """As `backward` with the weighted sum of the gradients, and exact also if the features are bypassed.

        Args:
            weights: [t].
            heads: as in `backward`.
            more: as in `backward`.
        """
        if not self.bypassed:
            return self.backward(weights.to(self.rows) @ self.rows, heads, more)
        factors = weights.tolist()
        total = sum(
            factor * loss for factor, loss in zip(factors, self.losses.values(), strict=True)
        )
        self.step.backward(total + self.step.other + more)
        return self._add_heads([head - factor for head, factor in zip(heads, factors, strict=True)])

    def _add_heads(self, factors: Sequence[float]) -> None:
        """Add the tasks' gradients at their own parameters, times a factor each."""
        for parameter, *gradients in zip(self.heads, *self.own, strict=True):
            for factor, gradient in zip(factors, gradients, strict=True):
                if gradient is not None:
                    _add(parameter, factor * gradient)


def _scale(step: TaskLosses) -> float:
    """The factor by which `step.backward` multiplies losses."""
    probe = torch.ones((), device=step.features.device, requires_grad=True)
    step.backward(probe)
    return 1.0 if probe.grad is None else float(probe.grad)


def _leaves(losses: Iterable[Tensor], features: Tensor | None) -> list[Tensor]:
    """The parameters that losses depend on other than through the features."""
    found: list[Tensor] = []
    stack = [loss.grad_fn for loss in losses]
    seen = {features.grad_fn if features is not None else None}
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(leaf := getattr(node, "variable", None), Tensor):
            found.append(leaf)
        stack.extend(parent for parent, _ in node.next_functions)
    return found


def _flat(places: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """Gradients as one vector, in single precision or better.

    0 where the loss does not depend on a place.
    """
    parts = [
        torch.zeros_like(p) if g is None else g for p, g in zip(places, gradients, strict=False)
    ]
    flat = torch.cat([part.flatten() for part in parts])
    return flat.to(torch.promote_types(flat.dtype, torch.float32))


def _add(parameter: Tensor, gradient: Tensor) -> None:
    """Add a gradient, in the parameter's own layout: autograd warns if it accumulates into another."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    else:
        parameter.grad = parameter.grad + gradient
