"""Derives edges from maps of class probabilities, with gradients: where the classes change."""

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.pixel.prediction import first_argmax
from labelgrid.pixel.target import Target

#: A change of at least this is an edge, as losses of edges take it.
CHANGE = 0.5


def class_borders(probabilities: Tensor, side: str) -> Target:
    """The change of the classes from each pixel to the most different neighbour.

    A change is the share of probability on other classes: 1 - the sum over the classes of the
    smaller of both probabilities. Between two certain pixels it is 0 or 1; between two equally
    unsure pixels it is 0. A pixel is valid where the most likely classes agree: where the classes
    change if and only if the value is 0.5 or more. Soft borders are not valid.

    Args:
        probabilities: [b, classes, h, w]; a pixel beside one that is not finite is not valid.
        side: the pixels beside a border that are edges, as an option of the relation
            `semseg_edges`.

    Returns:
        Values from 0 to 1, [b, 1, h, w].

    Example:
        >>> sure, unsure = torch.tensor([[1, 1, 0], [0, 0, 1.0]]), torch.full((2, 3), 0.5)
        >>> found = class_borders(torch.stack([sure, unsure])[:, :, None], "first")
        >>> found.value[:, 0, 0].tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    finite = probabilities.isfinite().all(1, keepdim=True)
    safe = torch.where(finite, probabilities, 0)
    changes, rises = _look_around(safe, side)
    value = changes.amax(0)
    beside = (rises != 0).any(0)
    edge = (rises > 0).any(0) if side == "either" else beside
    spoilt = functional.max_pool2d((~finite).float(), 3, stride=1, padding=1) > 0
    is_clear = (value >= CHANGE) == edge
    return Target(value, is_clear & ~(beside & ~edge) & ~spoilt)


def _look_around(probabilities: Tensor, side: str) -> tuple[Tensor, Tensor]:
    """The changes to each neighbour of a side, and the rises of the class number.

    Both are [neighbours, b, 1, h, w], 0 outside of the image.
    """
    classes = first_argmax(probabilities)
    changes = []
    rises = []
    for dim, end, start in ((3, (0, 1), (1, 0)), (2, (0, 0, 0, 1), (0, 0, 1, 0))):
        common = torch.minimum(*_neighbours(probabilities, dim)).sum(1, keepdim=True)
        change = (1 - common).clamp(min=0)
        here, there = _neighbours(classes, dim)
        if side != "second":
            changes.append(functional.pad(change, end))
            rises.append(functional.pad(there - here, end))
        if side != "first":
            changes.append(functional.pad(change, start))
            rises.append(functional.pad(here - there, start))
    return torch.stack(changes), torch.stack(rises)


def _neighbours(maps: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    length = maps.shape[dim] - 1
    return maps.narrow(dim, 0, length), maps.narrow(dim, 1, length)
