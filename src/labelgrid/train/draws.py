"""What a term draws in a step: numbers and further training images, the same whenever that step is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from labelgrid.data.batch import Batch
from labelgrid.streams import seed_of, stream


@dataclass(frozen=True)
class Draws:
    """The random draws of one term, or of one of its views, in one step. A resumed training draws the same.

    Args:
        seed: of the term's own stream.
        step: optimiser steps done before this one.
        ids: the images of the step's batch.
        pool: the training images.
        load: reads images under a seed: an augmented batch on the device.

    Example:
        >>> draws = Draws(0, 7, ("a.jpg",), ("a.jpg", "b.jpg"), lambda ids, seed: None)
        >>> bool((torch.rand(2, generator=draws.generator()) == torch.rand(2, generator=draws.generator())).all())
        True
    """

    seed: int
    step: int
    ids: tuple[str, ...]
    pool: Sequence[str]
    load: Callable[[Sequence[str], int], Batch]

    def of_view(self, name: str) -> "Draws":
        """The draws of one of the term's views, which are independent of the others'."""
        return replace(self, seed=seed_of(self.seed, "view", name))

    def generator(self, *names: str) -> torch.Generator:
        """A new generator on the CPU, keyed by the step and by `names`: an image's id, for draws of that image."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.step, *names))

    def images(self, ids: Sequence[str]) -> Batch:
        """These training images with their labels, augmented anew, on the device."""
        return self.load(ids, seed_of(self.seed, "images", self.step))

    def others(self, count: int) -> Batch:
        """So many other training images, drawn at random, as `images` gives them.

        They are not of this batch, as far as the training set has others, and none comes twice if there are enough.
        """
        others = sorted(set(self.pool) - set(self.ids)) or sorted(self.pool)
        drawn = stream(self.seed, "others", self.step).choice(len(others), count, replace=len(others) < count)
        return self.images([others[i] for i in drawn.tolist()])
