"""Divides an image into its bright and its dark pixels."""

from dataclasses import dataclass

from labelgrid.regions.maker import ImageToDivide
from labelgrid.regions.partition import Partition


@dataclass(frozen=True)
class Options:
    """None."""


class ColourHalves:
    """Two regions, or one of an image without contrast."""

    follows_image = True
    version = "1"

    def __init__(self, options: Options) -> None:
        self.options = options

    def make(self, image: ImageToDivide) -> Partition:
        grey = image.read().mean(axis=2)
        return Partition.of(1 + (grey > grey.mean()))


build = ColourHalves
