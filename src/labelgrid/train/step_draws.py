"""Gives a term its random numbers and further images in a step, the same in each run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from labelgrid.basics.streams import seed_of, stream
from labelgrid.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random draws of a term, or of a term's view, in a step.

    A resumed training draws the same values.

    Args:
        seed: the seed of the term's own stream.
        step: the number of optimiser steps before this one.
        ids: the ids of all images in the step's batch, including images that other processes
            compute.
        pool: the ids of all training images.
        load: reads images by id and returns an augmented batch on the device; the second argument
            is a seed.

    Example:
        >>> draws = Draws(seed=0, step=7, ids=("a",), pool=("a", "b"), load=lambda ids, seed: None)
        >>> first = torch.rand(2, generator=draws.generator())
        >>> second = torch.rand(2, generator=draws.generator())
        >>> bool((first == second).all())
        True
    """

    seed: int
    step: int
    ids: tuple[str, ...]
    pool: Sequence[str]
    load: Callable[[Sequence[str], int], Batch]

    def of_view(self, name: str) -> "Draws":
        """Return the draws of a term's view, independent of all the rest."""
        return replace(self, seed=seed_of(self.seed, "view", name))

    def generator(self, *names: str) -> torch.Generator:
        """Make a CPU generator, keyed by the step and by `names`.

        An image's id is the name of draws that belong to that image.
        """
        return torch.Generator().manual_seed(seed_of(self.seed, self.step, *names))

    def by_image(self, ids: Sequence[str], *names: str) -> list[torch.Generator]:
        """Make a generator for each image, whose draws do not depend on the other images."""
        return [self.generator(*names, image_id) for image_id in ids]

    def rows(self, ids: Sequence[str]) -> torch.Tensor:
        """Return the positions of images in the step's batch, int64.

        Draws of the whole batch are the same in each of several processes, which takes its rows.

        Example:
            >>> draws = Draws(seed=0, step=7, ids=("a", "b", "c"), pool=(), load=print)
            >>> draws.rows(["c", "a"])
            tensor([2, 0])
        """
        positions = {image_id: position for position, image_id in enumerate(self.ids)}
        return torch.tensor([positions[image_id] for image_id in ids])

    def images(self, ids: Sequence[str]) -> Batch:
        """Load training images with their labels, with a new augmentation, on the device."""
        return self.load(ids, seed_of(self.seed, "images", self.step))

    def others(self, count: int) -> Batch:
        """Draw `count` training images at random from outside the batch, and load the images.

        They come from outside this batch, unless the batch is the whole training set. No image is
        drawn twice if there are enough.
        """
        others = sorted(set(self.pool) - set(self.ids)) or sorted(self.pool)
        rng = stream(self.seed, "others", self.step)
        indices = rng.choice(len(others), count, replace=len(others) < count)
        return self.images([others[i] for i in indices.tolist()])
