"""Propagates the tasks' features of one scale to the next finer one (MTI-Net's feature propagation)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labelgrid.nets.blocks import basic_blocks
from labelgrid.nets.network import Raw

#: Channels of a squeezed map are an nth of the map's.
SQUEEZE = 16


class Propagation(nn.Module):
    """A softmax over tasks weighs their features into one shared map.

    Each task adds its own channels of it to its own.

    Deviation: in the published code the softmax does not compare the tasks at one channel, because
    a view puts channels and tasks in another order than the concatenation has.

    Args:
        names: of the tasks.
        width: channels of each task's features.

    Source: Vandenhende et al. 2020 (MTI-Net), section 3.3, and its published code.
    """

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = list(names)
        total = width * len(self.names)
        narrow = max(total // 4, 1)
        self.weigh = nn.Sequential(basic_blocks(total, narrow, narrow), nn.Conv2d(narrow, total, 1))
        self.reduce = basic_blocks(total, width)
        self.excite = nn.ModuleDict({name: Excitation(width) for name in self.names})

    def forward(self, features: Raw) -> Raw:
        """Refine the tasks' features [b, width, h, w]."""
        stacked = torch.stack([features[name] for name in self.names], 1)
        weights = self.weigh(stacked.flatten(1, 2)).view(stacked.shape).softmax(1)
        shared = self.reduce((weights * stacked).flatten(1, 2))
        return {name: features[name] + self.excite[name](shared) for name in self.names}


class Excitation(nn.Module):
    """Weighs channels by numbers that a small network computes from their means (squeeze and excitation).

    Source: Hu et al. 2018.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(width // SQUEEZE, 1)
        layers = (nn.Linear(width, narrow), nn.ReLU(), nn.Linear(narrow, width), nn.Sigmoid())
        self.factors = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of maps [b, width, h, w]."""
        weighed: Tensor = x * self.factors(x.mean((2, 3)))[:, :, None, None]
        return weighed
