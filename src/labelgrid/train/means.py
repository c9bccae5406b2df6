"""Means of losses over an epoch."""

from collections.abc import Mapping

from torch import Tensor


class Means:
    """The means of named losses over the labels or images of many batches.

    Example:
        >>> import torch
        >>> found = Means()
        >>> for loss in (1.0, 2.0):
        ...     found.add({"depth": torch.tensor([loss, 0.0]), "edges": torch.zeros(2)}, {"depth": 1, "edges": 0})
        >>> found.means(), found.first
        ({'depth': 1.5}, {'depth': 1.0})

    Attributes:
        first: the mean of each loss in the first batch in which it counted.
    """

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}
        self.first: dict[str, float] = {}

    def add(self, losses: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
        """Add the losses of a batch, [b] each, of which so many count; the others are 0."""
        for name, loss in losses.items():
            (total, count) = self.sums.get(name, (0.0, 0))
            added = float(loss.detach().sum())
            self.sums[name] = total + added, count + counts[name]
            if counts[name]:
                self.first.setdefault(name, added / counts[name])

    def means(self) -> dict[str, float]:
        """The mean of each loss that counted."""
        return {name: total / count for name, (total, count) in self.sums.items() if count}
