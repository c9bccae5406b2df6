"""Computes tasks' gradients at the shared features or parameters, and passes on a combination.

At the features, the combination passes through the encoder once (MGDA-UB; Sener & Koltun 2018,
section 3.3).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from labelgrid.basics.errors import TrainingError
from labelgrid.pixel.target import Tensors
from labelgrid.train.balancer import TaskLosses

GradientPoint = Literal["features", "parameters"]


class SharedGradients:
    """The gradients of several losses, before they are added up.

    The loss scale of half precision is in no value here; the gradients that are left for the
    optimiser have it.

    Args:
        step: the training step.
        losses: a scalar for each task.
        at: where the gradients are taken.

    Attributes:
        rows: the flattened gradients, [t, n], one row per task in the order of `losses`. With
            several processes, the gradients cover all of them: sums at the parameters, and at the
            features the columns of one process after the other.
        heads: the parameters that the losses depend on, but for the shared ones.
        bypassed: whether the losses depend on the shared parameters in other ways than through the
            shared features. The gradients at the features then lack a part.

    Example:
        >>> from torch import nn
        >>> layer = nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> head = nn.Parameter(torch.tensor(3.0))
        >>> features = layer * 2
        >>> losses = {"a": features.sum() * head, "b": features.square().sum()}
        >>> step = TaskLosses(
        ...     losses={},
        ...     present=torch.ones(1, 2, dtype=torch.bool),
        ...     other=torch.zeros(()),
        ...     features=features,
        ...     parameters=[layer],
        ...     step=0,
        ...     progress=0.0,
        ...     backward=Tensor.backward,
        ... )
        >>> gradients = SharedGradients(step, losses, "features")
        >>> gradients.rows
        tensor([[3., 3.],
                [4., 8.]])
        >>> gradients.backward(gradients.rows.mean(0), heads=[1.0, 1.0])
        >>> layer.grad, head.grad
        (tensor([ 7., 11.]), tensor(6.))
    """

    def __init__(self, step: TaskLosses, losses: Tensors, at: GradientPoint) -> None:
        self.step = step
        self.losses = losses
        self.at = at
        if not step.features.requires_grad:
            raise TrainingError(
                "The tasks share no layer that learns: the encoder is frozen, and no layer "
                "mixes its maps.",
                next_step='Set `fused` in [backbone], or name = "fixed" in [balance].',
                unchanged="Nothing was trained.",
            )
        probe = torch.ones((), device=step.features.device, requires_grad=True)
        step.backward(probe)
        self.scale = 1.0 if probe.grad is None else float(probe.grad)
        at_features = at == "features"
        shared = {id(parameter) for parameter in step.parameters}
        ends: set[object] = {step.features.grad_fn} if at_features else set()
        leaves = list(_leaves([loss.grad_fn for loss in losses.values()], ends))
        self.heads = [leaf for leaf in leaves if id(leaf) not in shared]
        self.bypassed = at_features and len(self.heads) < len(leaves)
        inputs = [step.features] if at_features else list(step.parameters)
        self.head_gradients: list[Sequence[Tensor | None]] = []
        rows = []
        for loss in losses.values():
            gradients = self._differentiate(loss, [*inputs, *self.heads])
            self.head_gradients.append(gradients[len(inputs) :])
            rows.append(_flatten(inputs, gradients[: len(inputs)]))
        self.own_columns = slice(None)
        self.rows = torch.stack(rows) / self.scale
        if at_features:
            self.rows, self.own_columns = step.group.join(self.rows)
        else:
            self.rows = step.group.add_up(self.rows)

    def _differentiate(self, loss: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor | None]:
        return torch.autograd.grad(self.scale * loss, inputs, retain_graph=True, allow_unused=True)

    def last_layer(self) -> Tensor:
        """Find the shared parameter of two axes or more that is nearest to the features."""
        shared = set()
        for parameter in self.step.parameters:
            if parameter.dim() > 1:
                shared.add(id(parameter))
        near = (leaf for leaf in _leaves([self.step.features.grad_fn], set()) if id(leaf) in shared)
        return next(near, self.step.parameters[-1])

    def at_layer(self, layer: Tensor) -> Tensor:
        """Compute the gradients [t, n] at a layer on which the shared features depend.

        Only after gradients at the features.
        """
        features = self.step.features
        rows = []
        if self.bypassed:  # the gradients at the features lack a part
            for loss in self.losses.values():
                gradients = self._differentiate(loss, [layer])
                rows.append(_flatten([layer], gradients))
            return self.step.group.add_up(torch.stack(rows) / self.scale)
        own_rows = self.scale * self.rows[:, self.own_columns]
        at_features = own_rows.to(features.dtype).view(-1, *features.shape)
        for row in at_features:
            at_layer = torch.autograd.grad(
                features, [layer], row, retain_graph=True, allow_unused=True
            )
            rows.append(_flatten([layer], at_layer))
        return self.step.group.add_up(torch.stack(rows) / self.scale)

    def refuse_bypass(self, instead: str = "parameters") -> None:
        """Refuse gradients at the features that lack a part.

        `instead` is the option that does without them.

        Raises:
            TrainingError: they lack one.
        """
        if self.bypassed:
            raise TrainingError(
                "The network's tasks read more of its encoder than the shared features, at which "
                "[balance] compares their gradients.",
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
            gradient = combined[self.own_columns].view(features.shape)
            rest = rest + (features.to(combined.dtype) * gradient).sum()
        elif self.step.group.is_first:  # every process has the sum, which counts once
            sizes = [parameter.numel() for parameter in self.step.parameters]
            parts = torch.split(self.scale * combined, sizes)
            for parameter, part in zip(self.step.parameters, parts, strict=True):
                _add_gradient(parameter, part.view(parameter.shape).to(parameter.dtype))
        self._add_heads(heads)
        if rest.requires_grad:
            self.step.backward(rest)

    def weigh(self, weights: Tensor, heads: Sequence[float], more: Tensor | float = 0.0) -> Tensor:
        """Back-propagate the weighted sum of the tasks' gradients, as `backward` does.

        The sum is exact also if the features are bypassed.

        Args:
            weights: [t].
            heads: as in `backward`.
            more: as in `backward`.

        Returns:
            The weighted sum of the losses, with the terms' losses, a scalar.
        """
        total = weights @ torch.stack(list(self.losses.values())).to(weights) + self.step.other
        if not self.bypassed:
            self.backward(weights.to(self.rows) @ self.rows, heads, more)
            return total.detach()
        factors = weights.tolist()
        pairs = zip(factors, self.losses.values(), strict=True)
        weighted = [factor * loss for factor, loss in pairs]
        self.step.backward(sum(weighted) + self.step.other + more)
        # The losses gave the tasks' own parameters these factors; the rest is added.
        self._add_heads([head - factor for head, factor in zip(heads, factors, strict=True)])
        return total.detach()

    def _add_heads(self, factors: Sequence[float]) -> None:
        for parameter, *gradients in zip(self.heads, *self.head_gradients, strict=True):
            for factor, gradient in zip(factors, gradients, strict=True):
                if gradient is not None:
                    _add_gradient(parameter, factor * gradient)


def _leaves(nodes: Iterable[Any], seen: set[object]) -> Iterator[Tensor]:
    """Yield the tensors that a graph begins with, nearest first; not beyond the nodes `seen`."""
    queue = deque(nodes)
    while queue:
        node = queue.popleft()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            yield leaf
        queue.extend(parent for parent, _ in node.next_functions)


def _flatten(inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """Join the gradients at the inputs into one vector, in single precision or better.

    A gradient is 0 where the loss does not depend on the input.
    """
    parts = []
    for tensor, gradient in zip(inputs, gradients, strict=True):
        part = torch.zeros_like(tensor) if gradient is None else gradient
        parts.append(part.flatten())
    vector = torch.cat(parts)
    return vector.to(torch.promote_types(vector.dtype, torch.float32))


def _add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Add a gradient in the parameter's layout: autograd warns of gradients in other layouts."""
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
    else:
        parameter.grad = parameter.grad + gradient
