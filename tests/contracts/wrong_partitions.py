"""Makers of partitions that each break one law: a right one with one fault."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from labelgrid.regions.maker import ImageToDivide
from labelgrid.regions.partition import Partition
from tests.plugins.colour_halves import ColourHalves as Right
from tests.plugins.colour_halves import Options as Options

COUNTER = itertools.count(1)


class Nameless(Right):
    """Says no version."""

    version = ""


class Small(Right):
    """Makes partitions of half the size."""

    def make(self, image: ImageToDivide) -> Partition:
        return Partition.of(super().make(image).ids[::2, ::2])


class Unnumbered(Right):
    """Numbers regions from 2 on."""

    def make(self, image: ImageToDivide) -> Partition:
        partition = super().make(image)
        return Partition(partition.ids + np.uint16(1), partition.areas)


class Counting(Right):
    """Makes one region more each time."""

    def make(self, image: ImageToDivide) -> Partition:
        numbers = np.arange(image.size[0] * image.size[1]).reshape(image.size)
        return Partition.of(np.minimum(numbers, next(COUNTER)))


class Held(Right):
    """Keeps a function, which cannot be pickled."""

    def __init__(self, *_: Any) -> None:
        self.kept = lambda ids: ids


class Sly(Right):
    """Says that the image does not matter."""

    follows_image = False

    def make(self, image: ImageToDivide) -> Partition:
        return Partition.of(1 + (image.read()[..., 0] > 130))


class Writing(Right):
    """Writes into the image."""

    def make(self, image: ImageToDivide) -> Partition:
        image.read()[0, 0] = 0
        return super().make(image)


class Heavy(Right):
    """Needs torch to be built."""

    def __init__(self, *_: Any) -> None:
        import torch

        self.kept = torch.__version__


#: By law, the maker that breaks it, and words of what its author is told.
BREAKS: Mapping[str, tuple[type[Right], str]] = {
    "it_says_what_its_partitions_depend_on": (Nameless, "must be a text"),
    "a_partition_has_the_size_of_its_image": (Small, "must return a partition of"),
    "regions_are_numbered_in_the_order_of_their_pixels": (Unnumbered, "numbered from 1"),
    "an_image_has_the_same_partition_each_time": (Counting, "the same partition"),
    "it_is_the_same_in_another_process": (Held, "must be pickled"),
    "what_it_does_not_follow_changes_nothing": (Sly, "must not change the partition"),
    "the_images_stay_as_they_are": (Writing, "must not write"),
    "it_does_not_import_torch": (Heavy, "without torch"),
}
