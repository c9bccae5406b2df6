"""Finds the numbers of a label in a file with more channels than the label."""

from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Array, Bytes
from labelgrid.basics.errors import LabelError
from labelgrid.formats.arrays import palette_of, samples

#: The extensions of files that may have a palette.
_WITH_PALETTES = (".png", ".bmp", ".tif", ".tiff")


def without_alpha(array: Array, path: Path, subject: str) -> Array:
    """Return numbers [h, w] or [h, w, c] without an alpha channel, of which all pixels are opaque.

    Grey with alpha has 2 channels, colour with alpha 4.

    Raises:
        LabelError: pixels are transparent, so their content is unknown.

    Example:
        >>> grey_and_alpha = np.array([[[3, 255], [1, 255]]], np.uint8)
        >>> without_alpha(grey_and_alpha, Path("a.png"), "A class map")[..., 0].tolist()
        [[3, 1]]
    """
    if array.ndim != 3 or array.shape[-1] not in (2, 4) or array.dtype.kind != "u":
        return array
    transparent = np.count_nonzero(array[..., -1] != np.iinfo(array.dtype).max)
    if transparent:
        raise LabelError(
            f"{subject} has no transparency; {transparent / array[..., -1].size:.1%} of the pixels "
            "of this one are transparent.",
            where=path,
            next_step="Save it without an alpha channel.",
        )
    return array[..., :-1]


def equal_channels(array: Array) -> Array | None:
    """Return numbers [h, w] or [h, w, c] as [h, w]; None if channels differ.

    Example:
        >>> equal_channels(np.array([[[3, 3, 3], [1, 1, 1]]])).tolist()
        [[3, 1]]
        >>> equal_channels(np.array([[[3, 3, 4]]]))
    """
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or (array != array[..., :1]).any():
        return None
    return array[..., 0]


def shown_colours(path: Path, subject: str) -> Bytes | None:
    """The colours [h, w, 3] of 8 bits in a file of any type.

    It may have a palette, or an alpha channel of which all pixels are opaque. None if it is grey,
    or has other numbers.
    """
    stored = shown_numbers(samples(path), path, subject)
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[-1] != 3:
        return None
    return stored


def shown_numbers(stored: Array, path: Path, subject: str) -> Array:
    """The numbers of a picture without alpha; indices into a palette become colours."""
    if path.suffix.lower() not in _WITH_PALETTES:
        return stored
    if stored.ndim == 2 and stored.dtype == np.uint8:
        palette = palette_of(path, "RGBA")
        stored = stored if palette is None else palette[stored]
    return without_alpha(stored, path, subject)


def shown_grey(stored: Array, path: Path) -> Array:
    """The numbers [h, w] of a file; indices into a palette of greys become the greys.

    A palette of black and white, or of greys, is how programs make files of numbers smaller; one of
    colours only shows numbers.
    """
    if stored.ndim != 2 or stored.dtype != np.uint8 or path.suffix.lower() not in _WITH_PALETTES:
        return stored
    palette = palette_of(path)
    if palette is None:
        return stored
    used = palette[np.unique(stored)]
    if (used == used[:, :1]).all():
        return palette[stored][..., 0]
    return stored
