"""Finds the cameras that took a project's images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import ImageError
from labelgrid.data.dataset import camera_of, size_of
from labelgrid.data.project_source import ProjectSource
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.sources import OracleSource


@dataclass(frozen=True)
class ImageCameras:
    """Finds the camera of each image once, since it may lie in the image's file.

    Args:
        images: gives the rows of the images in the ledger.
        source: reads what those do not say.
    """

    images: Callable[[], Iterable[ImageRow]]
    source: ProjectSource | OracleSource
    _found: dict[str, Camera | None] = field(default_factory=dict, init=False, repr=False)

    def camera(self, image_id: str) -> Camera | None:
        """The camera of an image in its own pixels.

        None if it is unknown, or if the image cannot be read.
        """
        if image_id not in self._found:
            try:
                camera = camera_of(self.source, image_id, self.size(image_id))
            except ImageError:
                camera = None
            self._found[image_id] = camera
        return self._found[image_id]

    def is_known(self, image_id: str) -> bool:
        """Whether there is a camera of an image."""
        return self.camera(image_id) is not None

    def size(self, image_id: str) -> tuple[int, int]:
        """The height and width of an image.

        Raises:
            ImageError: the ledger does not know it, and the image cannot be read.
        """
        size = self._sizes.get(image_id, (0, 0))
        if not all(size):  # of a simulated campaign, or of an image that was not checked
            size = size_of(self.source, image_id)
        return size

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int]]:
        """The sizes of the images, as far as the ledger knows them."""
        return {row.image_id: (row.height, row.width) for row in self.images()}
