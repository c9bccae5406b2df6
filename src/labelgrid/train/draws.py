"""Gives a term its random numbers and further training images in a step, the same each time that step is run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from labelgrid.data.batch import Batch
from labelgrid.streams import seed_of, stream


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random draws of one term, or of one of its views, in one step.

    A resumed training draws the same values.

    Args:
        seed: the seed of the term's own stream.
        step: the number of optimiser steps before this one.
        ids: the ids of the images in the step's batch.
        pool: the ids of all training images.
        load: reads images by id and returns an augmented batch on the device; the second argument
            is a seed.

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
        """The draws of one of the term's views, independent of all other draws."""
        return replace(self, seed=seed_of(self.seed, "view", name))

    def generator(self, *names: str) -> torch.Generator:
        """A new CPU generator, keyed by the step and by `names` (an image id, for draws that belong to that image)."""
        return torch.Generator().manual_seed(seed_of(self.seed, self.step, *names))

    def by_image(self, ids: Sequence[str], *names: str) -> list[torch.Generator]:
        """A new generator for each image, as `generator`: an image's draws do not depend on the others."""
        return [self.generator(*names, image_id) for image_id in ids]

    def images(self, ids: Sequence[str]) -> Batch:
        """The given training images with their labels, with a new augmentation, on the device."""
        return self.load(ids, seed_of(self.seed, "images", self.step))

    def others(self, count: int) -> Batch:
        """`count` other training images, drawn at random, loaded as by `images`.

        They come from outside this batch, unless the batch is the whole training set. No image is
        drawn twice if there are enough.
        """
        others = sorted(set(self.pool) - set(self.ids)) or sorted(self.pool)
        indices = stream(self.seed, "others", self.step).choice(
            len(others), count, replace=len(others) < count
        )
        return self.images([others[i] for i in indices.tolist()])
