"""Reads the regions of each image from a file, such as masks of a foundation model."""

from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import LabelError
from labelgrid.basics.words import join_names
from labelgrid.regions.maker import ImageToDivide
from labelgrid.regions.partition import Partition, read_map

#: The extensions of maps.
EXTENSIONS = (".png", ".tif", ".tiff", ".npy")


@dataclass(frozen=True)
class Options:
    """The place of the maps.

    Args:
        folder: the folder with a PNG, TIFF or .npy per image, named as label files are: a whole
            number a pixel, 0 for no region.
    """

    folder: Path


@dataclass(frozen=True)
class FileMaps:
    """Reads maps of regions."""

    options: Options
    follows_image: bool = True
    version: str = "1"

    def make(self, image: ImageToDivide) -> Partition:
        """As `PartitionMaker.make`.

        Raises:
            LabelError: the image has no map or several, or the map is wrong.
        """
        paths = [image.path(self.options.folder, extension) for extension in EXTENSIONS]
        present = [path for path in paths if path.exists()]
        if not present:
            raise LabelError(
                f"There is no map of regions of the image '{image.image_id}'.",
                where=paths[0].with_suffix(""),
                next_step=f"Save one there, with one of the extensions {join_names(EXTENSIONS)}.",
            )
        if len(present) > 1:
            raise LabelError(
                f"The image '{image.image_id}' has {len(present)} maps of regions: "
                f"{join_names([path.name for path in present])}.",
                where=present[0].parent,
                next_step="Keep the right one.",
            )
        return read_map(present[0], image.size)


build = FileMaps
