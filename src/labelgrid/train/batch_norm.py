"""Finds the layers that keep batch norm's statistics, and predicts batches without changing these."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

#: Layers that keep statistics.
NORM = nn.modules.batchnorm._BatchNorm


def norms_of(network: nn.Module, frozen: nn.Module | None = None) -> list[NORM]:
    """The layers that keep statistics, but for those of a frozen part.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2))
        >>> norms_of(network) == [network[0]]
        True
    """
    kept = set(frozen.modules()) if frozen else set()
    return [
        module
        for module in network.modules()
        if isinstance(module, NORM) and module.track_running_stats and module not in kept
    ]


@contextmanager
def track_statistics(network: nn.Module, track: bool) -> Iterator[None]:
    """Normalise as before, but do not update the running statistics of batch norm if `track` is false.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm2d(1)
        >>> with tracking(norm, track=False):
        ...     found = norm(torch.full((2, 1, 2, 2), 3.0))
        >>> norm.running_mean.item(), norm.track_running_stats
        (0.0, True)
    """
    norms = [] if track else norms_of(network)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
