"""Keeps the network inputs of images in files, so that an image is decoded and placed once."""

import struct
from dataclasses import asdict, dataclass
from functools import cached_property

import cv2
import numpy as np
import PIL

from labelgrid.basics.files import digest_of
from labelgrid.basics.kept_files import KeptFiles
from labelgrid.basics.version import __version__
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import ImageSource, content_of
from labelgrid.data.transforms import FIRST_VIEWS, Pixels, PlacedImage

#: The heights and widths of an image and of its canvas.
SIZES = struct.Struct("<4I")
#: The options that change no pixel of a view.
WITHOUT_EFFECT = ("kept_views", "std", "average_flips")
#: The view of an image without augmentation.
WHOLE = -1


@dataclass(frozen=True)
class KeptInputs:
    """The network inputs of a source's images, by their contents, the options and the view.

    Args:
        files: where they are; None: none is kept.
        source: the images; those whose content it does not know are not kept.
        options: the network input and its augmentation.
    """

    files: KeptFiles | None
    source: ImageSource
    options: DataOptions

    def key(self, image_id: str, view: int) -> str:
        """The key of a view of an image; "" if it is not kept.

        Args:
            image_id: the image.
            view: the number of a kept view, or `WHOLE`.
        """
        content = content_of(self.source, image_id) if self.files else ""
        if not content:
            return ""
        if view == 0 and self.options.fit != "crop":
            view = WHOLE
        drawn_for = image_id if view >= len(FIRST_VIEWS) or not self.options.flip else ""
        return digest_of(f"input {self._shaping} {content} {view} {drawn_for}".encode())

    @cached_property
    def _shaping(self) -> str:
        """What the pixels of a view depend on beside the image: versions and options."""
        options = asdict(self.options)
        for name in WITHOUT_EFFECT:
            del options[name]
        return f"{__version__} OpenCV {cv2.__version__} Pillow {PIL.__version__} {options}"

    def open(self, image_id: str, key: str) -> Pixels | PlacedImage:
        """An image, placed already if its view is kept.

        Raises:
            ImageError: it is not, and the image cannot be read.
        """
        content = self.files.read_bytes(key) if self.files and key else None
        if content is None:
            return self.source.image(image_id)
        height, width, *canvas = SIZES.unpack_from(content)
        pixels = np.frombuffer(content, np.uint8, offset=SIZES.size)
        return PlacedImage((height, width), pixels.reshape(*canvas, 3))

    def keep(
        self, key: str, opened: Pixels | PlacedImage, placed: Pixels, *, often: bool = False
    ) -> None:
        """Keep a view of an image that was opened, unless it is kept already.

        `often` is as of `KeptFiles.has_room`.
        """
        if self.files and key and not isinstance(opened, PlacedImage):
            sizes = SIZES.pack(*opened.shape[:2], *placed.shape[:2])
            self.files.write_bytes(key, sizes + placed.tobytes(), often=often)
