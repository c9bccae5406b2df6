"""Propagates the tasks' features of one scale to the next finer one, as MTI-Net does."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from labelgrid.nets.blocks import basic_blocks
from labelgrid.nets.network import Raw

#: Channels of a squeezed map are an nth of the map's.
SQUEEZE = 16


class Propagation(nn.Module):
    """A softmax over tasks weighs their features into one shared map.

    Each task adds the map, with its channels weighed for the task, to its features.

    Deviation: in the public code the softmax does not compare the tasks at one channel. The
    concatenation has all channels of the first task, then all of the second, but its view reads one
    channel of each task in turn. So with K tasks the softmax runs over K neighbouring channels of
    the concatenation. `over = "neighbours"` does the same.

    Args:
        names: of the tasks.
        width: channels of each task's features.
        over: what the softmax runs over: the `"tasks"`, or the `"neighbours"` of the public code.

    Source: Vandenhende et al. 2020 (MTI-Net), section 3.3, and its public code.
    """

    def __init__(
        self, names: Sequence[str], width: int, over: Literal["tasks", "neighbours"] = "tasks"
    ) -> None:
        super().__init__()
        self.names = list(names)
        self.over = over
        total = width * len(self.names)
        narrow = max(total // 4, 1)
        self.weigh = nn.Sequential(basic_blocks(total, narrow, narrow), nn.Conv2d(narrow, total, 1))
        self.reduce = basic_blocks(total, width)
        self.excite = nn.ModuleDict()
        for name in self.names:
            self.excite[name] = Excitation(width)

    def forward(self, features: Raw) -> Raw:
        """Refine the tasks' features [b, width, h, w]."""
        stacked = torch.stack([features[name] for name in self.names], 1)
        count, tasks, width, *size = stacked.shape
        joined = stacked.flatten(1, 2)
        scores = self.weigh(joined)
        if self.over == "tasks":
            weights = scores.view(count, tasks, width, *size).softmax(1)
        else:
            weights = scores.view(count, width, tasks, *size).softmax(2)
        shared = self.reduce(joined * weights.flatten(1, 2))
        return {name: features[name] + self.excite[name](shared) for name in self.names}


class Excitation(nn.Module):
    """Weighs channels by numbers that a small network computes from their means.

    Source: Hu et al. 2018 (squeeze and excitation).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(width // SQUEEZE, 1)
        layers = (nn.Linear(width, narrow), nn.ReLU(), nn.Linear(narrow, width), nn.Sigmoid())
        self.factors = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of maps [b, width, h, w]."""
        return x * self.factors(x.mean((2, 3)))[:, :, None, None]
