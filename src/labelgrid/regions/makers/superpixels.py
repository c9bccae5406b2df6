"""Divides an image along changes of colour, by scikit-image's SLIC. Needs the extra [regions]."""

from dataclasses import dataclass
from importlib.metadata import version
from math import sqrt

import numpy as np

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.config import check_ranges
from labelgrid.basics.files import left_out
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import nearest_pixels
from labelgrid.regions.maker import ImageToDivide
from labelgrid.regions.partition import Partition

#: The most pixels that SLIC sees; the regions are enlarged.
PIXELS = 40_000


@dataclass(frozen=True)
class Options:
    """The number and the form of superpixels.

    Args:
        count: about so many superpixels an image; textured images have fewer.
        compactness: the weight of distance beside colour; large: nearly square.
    """

    count: int = 40
    compactness: float = 20.0

    def __post_init__(self) -> None:
        check_ranges(self, count=(1, 10_000), compactness=(0.01, 1000))


@dataclass(frozen=True)
class Superpixels:
    """Divides images by SLIC."""

    options: Options
    version: str
    follows_image: bool = True

    def make(self, image: ImageToDivide) -> Partition:
        """As `PartitionMaker.make`."""
        import cv2
        from skimage.segmentation import slic

        height, width = reduced(image.size)
        small = cv2.resize(colours(image.read()), (width, height), interpolation=cv2.INTER_AREA)
        regions = slic(
            small,
            n_segments=self.options.count,
            compactness=self.options.compactness,
            start_label=1,
            channel_axis=-1,
        ).astype(np.uint16)
        rows = nearest_pixels(height, image.size[0])
        columns = nearest_pixels(width, image.size[1])
        return Partition.of(regions[np.ix_(rows, columns)])


def colours(pixels: Bytes) -> Bytes:
    """The pixels of an image in three channels, also of a grey image."""
    deep = np.atleast_3d(pixels)
    return deep if deep.shape[2] == 3 else np.repeat(deep[..., :1], 3, axis=2)


def reduced(size: Size) -> Size:
    """The size of an image with at most `PIXELS` pixels.

    Example:
        >>> reduced((480, 640)), reduced((1, 100_000)), reduced((10, 10))
        ((173, 230), (1, 40000), (10, 10))
    """
    scale = min(1.0, sqrt(PIXELS / (size[0] * size[1])))
    height = max(1, int(size[0] * scale))
    width = max(1, int(size[1] * scale))
    height = min(height, PIXELS // width) or 1
    return height, min(width, PIXELS // height)


def build(options: Options) -> Superpixels:
    """Build the maker, with the version of scikit-image.

    Raises:
        ProjectError: scikit-image is not installed.
    """
    missing = left_out("skimage")
    if missing:
        raise missing
    return Superpixels(options, f"1, scikit-image {version('scikit-image')}")
