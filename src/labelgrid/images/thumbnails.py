"""Makes small grey thumbnails of images, to find near-duplicates. Loads no torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelgrid.images.reading import read_image

#: The size of a thumbnail, of any image.
WIDTH = 64
HEIGHT = 48
#: Smaller images, by their longer side, say too little.
LEAST = 128

#: Grey values: uint8 [HEIGHT, WIDTH].
Thumbnail = NDArray[np.uint8]


def thumbnail_of(image: Image.Image) -> Thumbnail:
    """The thumbnail of a decoded image of any size, with 8 bits a channel."""
    small = image.convert("L").resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.asarray(small, np.uint8)


def read_thumbnail(path: Path, digest: str = "") -> Thumbnail:
    """The thumbnail of an image's file; `digest` is as in `read_image`.

    Raises:
        ImageError: the image cannot be used.
    """
    return thumbnail_of(Image.fromarray(read_image(path, digest)))
