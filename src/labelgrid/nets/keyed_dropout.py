"""Provides channel dropout whose masks can be set, and masks that are keyed by image."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.array_types import Keys
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.nets.encoder_options import Where


class ChannelDropout(nn.Module):
    """`Dropout2d` that uses given masks when scoring.

    Args:
        rate: the share of dropped channels.
        channels: the number of input channels.
        stage: "encoder", "initial" or "final"; the option `where` of MC-dropout selects by it.

    Attributes:
        mask: the given factors [b, c, 1, 1]; None: none are given.
        takes_passes: whether `mask` may be [b, d, c, 1, 1], of d passes over each image.

    Example:
        >>> ChannelDropout(0.5, 3, "final").eval()(torch.ones(1, 3, 1, 1)).flatten()
        tensor([1., 1., 1.])
    """

    def __init__(self, rate: float, channels: int, stage: str) -> None:
        super().__init__()
        self.rate = rate
        self.channels = channels
        self.stage = stage
        self.mask: Tensor | None = None
        self.takes_passes = False

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout to [b, c, h, w]; the shape stays."""
        factors = self.factors(x)
        return x if factors is None else x * factors

    def factors(self, x: Tensor) -> Tensor | None:
        """What multiplies the channels of [b, c, h, w], [b, c, 1, 1]; None: nothing does.

        In training they are drawn at each call.
        """
        if self.mask is not None or not self.training or not self.rate:
            return self.mask
        return functional.dropout2d(x.new_ones(*x.shape[:2], 1, 1), self.rate)


#: The names of the dropout modules of networks: a scoring asks for each batch.
_NAMES: WeakKeyDictionary[nn.Module, dict[ChannelDropout, str]] = WeakKeyDictionary()
#: The stages whose dropout is active for each choice of `where`.
STAGES: dict[Where, frozenset[str]] = {
    "final": frozenset({"final"}),
    "heads": frozenset({"initial", "final"}),
    "all": frozenset({"encoder", "initial", "final"}),
}


def sites(
    network: nn.Module, where: Where, rate: float = 0.0
) -> dict[str, tuple[ChannelDropout, float]]:
    """The dropout modules that `where` selects, and the rate of each, by name.

    A module's rate is `rate`, or its own if `rate` is 0. Modules of rate 0 are left out.
    """
    selected = {}
    if network not in _NAMES:
        _NAMES[network] = _dropouts(network, "", {})
    for module, name in _NAMES[network].items():
        used_rate = rate or module.rate
        if module.stage in STAGES[where] and used_rate > 0:
            selected[name] = (module, used_rate)
    return selected


def _dropouts(
    module: nn.Module, name: str, names: dict[ChannelDropout, str]
) -> dict[ChannelDropout, str]:
    """Collect the names of the dropout modules; `named_modules` is far slower."""
    if isinstance(module, ChannelDropout):
        names.setdefault(module, name)
    for child_name, child in module.named_children():
        _dropouts(child, f"{name}.{child_name}" if name else child_name, names)
    return names


def masks(site: str, channels: int, rate: float, keys: Keys, seed: int, index: int) -> Tensor:
    """Draw the masks [b, c, 1, 1] of pass `index`.

    They depend on seed, module, pass, channel and image key only.
    """
    channel_keys = np.arange(channels, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    pass_seed = seed_of(seed, "dropout", site, index)
    uniform = keyed_uniform(keys[:, None] ^ channel_keys[None], pass_seed)
    factors = (uniform >= rate) / (1 - rate)
    return torch.from_numpy(factors).float()[:, :, None, None]


@contextmanager
def keyed_dropout(
    network: nn.Module,
    where: Where,
    keys: Keys,
    seed: int,
    rate: float = 0.0,
    device: torch.device | str = "cpu",
) -> Iterator[Callable[..., None]]:
    """Use masks keyed by image in the network's dropout modules.

    The masks of an image depend neither on the order nor on the rest of the batch. They are removed
    at the end.

    Yields:
        A function that sets the masks of a pass, or of several together.
    """
    active = sites(network, where, rate)

    def use(*indices: int) -> None:
        for name, (module, used_rate) in active.items():
            draw = partial(masks, name, module.channels, rate=used_rate, keys=keys, seed=seed)
            drawn = [draw(index=index) for index in indices]
            mask = drawn[0] if len(drawn) == 1 else torch.stack(drawn, 1)
            module.mask = mask.to(device)

    try:
        yield use
    finally:
        for module, _ in active.values():
            module.mask = None
