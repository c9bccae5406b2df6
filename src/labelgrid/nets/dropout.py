"""Where a network can be unsure: channel dropout whose masks can be given, keyed by image."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.nets.options import Where
from labelgrid.streams import keyed_uniform, seed_of


class ChannelDropout(nn.Module):
    """`Dropout2d` that takes given masks when scoring.

    Args:
        rate: share of channels dropped.
        channels: of the input.
        stage: "encoder", "initial" or "final": which passes of MC-dropout it takes part in.

    Example:
        >>> ChannelDropout(0.5, 3, "final").eval()(torch.ones(1, 3, 1, 1)).flatten()
        tensor([1., 1., 1.])
    """

    def __init__(self, rate: float, channels: int, stage: str) -> None:
        super().__init__()
        self.rate, self.channels, self.stage = rate, channels, stage
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] -> the same shape."""
        if self.mask is not None:
            return x * self.mask
        return functional.dropout2d(x, self.rate, self.training)


#: The stages whose dropout is active for each choice of `where`.
STAGES: dict[Where, frozenset[str]] = {
    "final": frozenset({"final"}),
    "heads": frozenset({"initial", "final"}),
    "all": frozenset({"encoder", "initial", "final"}),
}


def sites(network: nn.Module, where: Where, rate: float = 0.0) -> dict[str, tuple[ChannelDropout, float]]:
    """The dropouts that `where` turns on and their rates (`rate`, or their own if that is 0), by module name."""
    found = {
        name: (module, rate or module.rate)
        for name, module in network.named_modules()
        if isinstance(module, ChannelDropout) and module.stage in STAGES[where]
    }
    return {name: (module, used) for name, (module, used) in found.items() if used > 0}


def masks(site: str, channels: int, rate: float, keys: NDArray[np.uint64], seed: int, index: int) -> Tensor:
    """The masks [b, c, 1, 1] of pass `index`: drawn from seed, site, pass, channel and the image's key alone."""
    spread = np.arange(channels, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    kept = keyed_uniform(keys[:, None] ^ spread[None], seed_of(seed, "dropout", site, index)) >= rate
    return torch.from_numpy(kept / (1 - rate)).float()[:, :, None, None]


@contextmanager
def keyed_dropout(
    network: nn.Module,
    where: Where,
    keys: NDArray[np.uint64],
    seed: int,
    rate: float = 0.0,
    device: torch.device | str = "cpu",
) -> Iterator[Callable[[int], None]]:
    """Give the network's dropouts masks keyed by image; yields a function that sets those of pass d.

    Whatever the order or company of the images, an image meets the same masks. No mask is left behind.
    """
    active = sites(network, where, rate)

    def use(index: int) -> None:
        for name, (module, used) in active.items():
            module.mask = masks(name, module.channels, used, keys, seed, index).to(device)

    try:
        yield use
    finally:
        for module, _ in active.values():
            module.mask = None
