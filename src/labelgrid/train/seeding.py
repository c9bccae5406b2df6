"""Seeds the construction of each module with random weights from its own named stream."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from labelgrid.basics.streams import seed_of


@contextmanager
def seed_torch(seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch from the stream `names` of `seed` inside the block; then restore its state.

    Modules with random weights are built in such a block: the network in ("init",), a term in
    ("init", "term", name), the balancer in ("init", "balance"), a trained statistic in ("init",
    "score", name).

    Example:
        >>> with seed_torch(0, "init", "term", "crop"):
        ...     first = torch.rand(2)
        >>> with seed_torch(0, "init", "term", "crop"):
        ...     second = torch.rand(2)
        >>> bool((first == second).all())
        True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, *names))
        yield
