"""Finds the layers that keep batch norm's statistics, and predicts batches without changing these."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

#: Layers that keep statistics.
NORM = nn.modules.batchnorm._BatchNorm


def norms_of(network: nn.Module, frozen: nn.Module | None = None) -> list[NORM]:
    """The layers that keep statistics, but for those of a frozen part.

    Example:
        >>> norms_of(nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2)))
        [BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)]
    """
    kept = set(frozen.modules()) if frozen else set()
    return [
        module
        for module in network.modules()
        if isinstance(module, NORM) and module.track_running_stats and module not in kept
    ]


@contextmanager
def tracking(network: nn.Module, track: bool) -> Iterator[None]:
    """While it is open and `track` is false, batch norm normalises as before, but its kept statistics do not change.

    Example:
        >>> norm = nn.BatchNorm2d(1)
        >>> with tracking(norm, track=False):
        ...     found = norm(torch.full((2, 1, 2, 2), 3.0))
        >>> float(found.abs().max()), float(norm.running_mean)
        (0.0, 0.0)
    """
    norms = [] if track else norms_of(network)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
