"""Keeps gradients and states of an optimiser in the memory layout of their parameters.

Torch's fused Adam reads parameter, gradient and state in the order of memory: where their strides differ (channels last
or not) it mixes up their elements on a CPU, without an error.
"""

import torch
from torch import Tensor
from torch.optim import Optimizer


def match_gradients(optimiser: Optimizer) -> None:
    """Give each gradient the strides of its parameter; `backward` does so by itself, code that sets `grad` may not.

    Example:
        >>> p = torch.nn.Parameter(torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last))
        >>> p.grad = torch.ones(2, 3, 4, 4)
        >>> match_gradients(torch.optim.Adam([p], fused=True))
        >>> p.grad.stride() == p.stride()
        True
    """
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad = _like(parameter.grad, parameter)


def match_states(optimiser: Optimizer) -> None:
    """Give the states of each parameter its strides; a checkpoint has those of the code that wrote it."""
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = _like(value, parameter)


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """The values in the layout of a parameter."""
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
