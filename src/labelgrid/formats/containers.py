"""Reads the numbers of depth and normals from the files that people have: PNG to EXR."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.array_types import Array
from labelgrid.basics.type_names import Size
from labelgrid.formats import arrays, exr_channels, npz
from labelgrid.formats.codec import Form

#: The extensions that `stored_numbers` reads.
EXTENSIONS = (".png", ".npy", ".npz", ".tiff", ".tif", ".exr")


@dataclass(frozen=True, kw_only=True)
class Container(Form):
    """The options of labels in files with several arrays.

    Args:
        key: the name of the array in an .npz file; None: the file's only array.
        channel: the name of the channel in an EXR file, or of the three together, such as
            `View.Normal.XYZ`; None: found by the usual names of renderers.
    """

    key: str | None = None
    channel: str | None = None


def stored_numbers(
    path: Path, options: Container, read_exr: Callable[[Path, str | None], Array]
) -> Array:
    """The numbers in a file, as stored, without leading axes of length 1 before [h, w, c].

    Raises:
        LabelError: the file cannot be read, is damaged, or it is not clear which array is meant.
    """
    match path.suffix.lower():
        case ".exr":
            return read_exr(path, options.channel)
        case ".npz":
            array = npz.read_npz(path, options.key)
        case _:
            array = arrays.samples(path)
    while array.ndim > 3 and len(array) == 1:
        array = array[0]
    return array


def stored_size(path: Path) -> Size | None:
    """Height and width from a file's header; None for arrays of NumPy."""
    if path.suffix.lower() == ".exr":
        return exr_channels.stored_size(path)
    if path.suffix.lower() == ".npz":
        return None
    return arrays.stored_size(path)
