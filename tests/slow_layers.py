"""Layers written out in float64, for tests that compare networks with them."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn import functional


def convolved(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, stride: int = 1
) -> np.ndarray:
    """A convolution of maps [b, i, h, w] with SAME padding, one product an output.

    SAME: a side has 1 / stride of its length, rounded up; the padding is split, with the odd rest
    after the map.
    """
    out, _, k, _ = weight.shape
    sides = [-(-side // stride) for side in x.shape[2:]]
    totals = [(half - 1) * stride + k - side for half, side in zip(sides, x.shape[2:], strict=True)]
    padded = np.pad(x, ((0, 0), (0, 0), *((total // 2, total - total // 2) for total in totals)))
    found = np.zeros((len(x), out, *sides))
    for row, column in np.ndindex(*sides):
        part = padded[:, :, stride * row : stride * row + k, stride * column : stride * column + k]
        found[:, :, row, column] = np.einsum("bijk,oijk->bo", part, weight)
    return found if bias is None else found + bias[:, None, None]


def normalised(x: np.ndarray, state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """A batch normalisation of maps [b, c, h, w] in evaluation mode, by its state's entries under a name."""
    mean, var, weight, bias = (
        state[f"{name}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    found: np.ndarray = (x - mean) / np.sqrt(var + 1e-5) * weight + bias
    return found


class Layers:
    """Runs the layers of a network from its tensors alone.

    In training, batch norm takes the batch's own moments.
    """

    def __init__(self, network: nn.Module) -> None:
        self.state, self.training = network.state_dict(), network.training

    def convolve(self, x: Tensor, name: str) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return functional.conv2d(
            x, weight, self.state.get(f"{name}.bias"), padding=weight.shape[-1] // 2
        )

    def normalise(self, x: Tensor, name: str) -> Tensor:
        weight, bias, mean, variance = (
            self.state[f"{name}.{part}"].view(1, -1, 1, 1)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        if self.training:
            mean = x.mean((0, 2, 3), keepdim=True)
            variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def layer(self, x: Tensor, name: str) -> Tensor:
        """A convolution, batch norm and ReLU in sequence."""
        return self.normalise(self.convolve(x, f"{name}.0"), f"{name}.1").clamp(min=0)
