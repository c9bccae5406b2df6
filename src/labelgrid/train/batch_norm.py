"""Finds layers with batch norm's statistics, keeps these unchanged, and refuses tiny batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from labelgrid.basics.errors import TrainingError

#: Layers that keep statistics.
NORM = nn.modules.batchnorm._BatchNorm


def norms_of(network: nn.Module, frozen: nn.Module | None = None) -> list[NORM]:
    """Return the layers that keep statistics, except in a frozen part.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2))
        >>> norms_of(network) == [network[0]]
        True
    """
    excluded = set() if frozen is None else set(frozen.modules())
    norms = []
    for module in network.modules():
        if not isinstance(module, NORM) or module in excluded:
            continue
        if module.track_running_stats:
            norms.append(module)
    return norms


@contextmanager
def track_statistics(network: nn.Module, track: bool) -> Iterator[None]:
    """Normalise as before, but update batch norm's running statistics only if `track` is true.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm2d(1)
        >>> with track_statistics(norm, track=False):
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


@contextmanager
def refuse_tiny_batches(ids: Sequence[str]) -> Iterator[None]:
    """Refuse a batch in which batch norm sees a single value a channel.

    Raises:
        TrainingError: the batch, or a term's view of it, is one image whose smallest map is a
            single pixel.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            "The batch, or a term's view of it, is one image that is too small for batch "
            "normalisation.",
            where=", ".join(ids),
            next_step='Set a larger `size` in [data] or norm = "frozen" in [train], '
            "label more images, or let the terms crop less.",
        ) from error
