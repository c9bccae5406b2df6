"""Layers written out in float64 NumPy, for tests that compare networks with them."""

from collections.abc import Mapping

import numpy as np


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, stride: int = 1) -> np.ndarray:
    """A convolution of maps [b, i, h, w] with SAME padding, one product an output.

    SAME: a side has 1 / stride of its length, rounded up; the padding is split, with the odd rest after the map.
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
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    found: np.ndarray = (x - mean) / np.sqrt(var + 1e-5) * weight + bias
    return found
