"""Finds losses and weights that are not finite."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def non_finite_values(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those with a value that is not finite, by name.

    Example:
        >>> list(not_finite({"a": torch.tensor([1.0, float("nan")]), "b": torch.zeros(2)}))
        ['a']
    """
    return {name: value for name, value in values.items() if not bool(torch.isfinite(value).all())}


def trained_values(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """What a training changes in modules: parameters, and the running statistics of batch norm.

    Other buffers may hold anything, such as the infinite best value so far.

    Args:
        modules: by name; "" adds nothing to the names of its values.

    Example:
        >>> list(trained_values({"": nn.BatchNorm2d(1, affine=False), "term": nn.Linear(1, 1)}))
        ['running_mean', 'running_var', 'term.weight', 'term.bias']
    """
    found = {}
    for name, module in modules.items():
        buffers = [
            (key, value)
            for key, value in module.named_buffers()
            if key.split(".")[-1].startswith("running_")
        ]
        for key, value in [*module.named_parameters(), *buffers]:
            found[f"{name}.{key}" if name else key] = value
    return found
