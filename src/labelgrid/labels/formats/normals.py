"""How surface normals lie in a file: an RGB PNG or .npy of unit vectors, in a declared convention of axes."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelError
from labelgrid.labels.codec import Form, LabelArray
from labelgrid.labels.formats.files import samples, save_array, save_png, shape_text, some_valid

EXTENSIONS = (".png", ".npy")
CHANNELS = 3
DTYPE = np.float32

#: Where a file's axes may point -> the signs that turn them to x right, y up, z toward the camera.
AXES: dict[str, tuple[int, int, int]] = {
    f"x {x}, y {y}, z {z} the camera": (1 if x == "right" else -1, 1 if y == "up" else -1, 1 if z == "toward" else -1)
    for x, y, z in product(("right", "left"), ("up", "down"), ("toward", "away from"))
}
#: A vector's length may be off by this much: 8-bit rounding makes 0.007, smoothing along surfaces a little more …
LENGTH_TOLERANCE = 0.05
#: … and a label may have this share of pixels beyond it (resized across an edge): they count as not valid.
SHARE_OFF = 0.01
#: A label with a larger share of vectors that point away from the camera has other axes than declared.
SHARE_AWAY = 0.9


@dataclass(frozen=True)
class Options(Form):
    """What a normal map's channels mean.

    Args:
        axes: where the file's three axes point (a key of `AXES`); the default is labelgrid's own convention.
    """

    axes: str = "x right, y up, z toward the camera"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axes not in AXES:
            raise ValueError(f"unknown axes '{self.axes}'; known: {'; '.join(AXES)}")


def read(path: Path, options: Options) -> LabelArray:
    """Unit vectors (float32, c = 3; x right, y up, z toward the camera) from an 8- or 16-bit RGB PNG, or .npy.

    PNG: v / 127.5 - 1 (16-bit: v / 32767.5 - 1); mid grey and black mean "no normal". `.npy`: the zero vector and
    vectors that are not finite do. Valid vectors are made exactly unit length.

    Raises:
        LabelError: not three channels, more than 1 % of the vectors not of unit length (within 0.05), nearly all
            pointing away from the camera, no valid pixel, or a damaged file.
    """
    stored = samples(path)
    if stored.ndim != 3 or stored.shape[-1] != 3:
        raise LabelError(
            f"A normal map has three channels, the last axis; this one is {shape_text(stored)}.", where=str(path)
        )
    vector, given = _decoded(stored, path)
    some_valid(given, path, "a pixel without a normal is mid grey or black in a PNG, zero in .npy")
    # Channel by channel: NumPy is slow along an axis of three.
    length = np.sqrt(vector[..., 0] ** 2 + vector[..., 1] ** 2 + vector[..., 2] ** 2)
    valid = given & (np.abs(length - 1) <= LENGTH_TOLERANCE)
    _check_unit(length, given, valid, path)
    factor = np.divide(1, length, out=np.zeros_like(length), where=valid)
    for channel, sign in enumerate(AXES[options.axes]):
        vector[..., channel] *= sign * factor
    _check_facing(vector[..., 2], valid, options.axes, path)
    return LabelArray(vector, valid)


def _decoded(stored: NDArray[Any], path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if stored.dtype in (np.uint8, np.uint16):
        import cv2  # not above: commands that only need the options start faster

        half = np.iinfo(stored.dtype).max / 2
        grey = cv2.inRange(stored, (int(half),) * 3, (int(half) + 1,) * 3)
        black = cv2.inRange(stored, (0, 0, 0), (0, 0, 0))
        return np.divide(stored, np.float32(half), dtype=np.float32) - 1, (grey | black) == 0
    if stored.dtype.kind != "f":
        raise LabelError(f"Normals in .npy are numbers in [-1, 1]; this one is {shape_text(stored)}.", where=str(path))
    given = np.isfinite(stored).all(-1) & stored.any(-1)
    return np.where(given[..., None], stored, 0).astype(np.float32), given


def _check_unit(length: NDArray[np.float32], given: NDArray[np.bool_], valid: NDArray[np.bool_], path: Path) -> None:
    off = int((given & ~valid).sum())
    if off > SHARE_OFF * given.sum():
        raise LabelError(
            f"{off} of {int(given.sum())} normals are not of unit length (within {LENGTH_TOLERANCE}); "
            f"the median length is {float(np.median(length[given])):.3g}.",
            where=str(path),
            next_step="Normalise the vectors, and code them as (n + 1) / 2 of the PNG's range.",
        )


def _check_facing(z: NDArray[np.float32], valid: NDArray[np.bool_], axes: str, path: Path) -> None:
    away = np.count_nonzero((z < 0) & valid) / np.count_nonzero(valid)
    if away > SHARE_AWAY:
        raise LabelError(
            f"{away:.0%} of the normals point away from the camera if the axes are '{axes}'.",
            where=str(path),
            next_step="Declare the axes the file was written in.",
        )


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write by the path's extension: a 16-bit RGB PNG (read back within 0.00003) or float32 .npy.

    Raises:
        LabelError: the disk refuses.
    """
    vector = np.where(label.valid[..., None], label.value * np.asarray(AXES[options.axes]), 0).astype(np.float32)
    if path.suffix.lower() == ".npy":
        save_array(path, vector)
    else:
        save_png(path, np.rint(np.clip((vector.astype(np.float64) + 1) * 32767.5, 0, 65535)).astype(np.uint16))


def describe(options: Options) -> str:
    """What a normal map holds, for those who make labels."""
    return (
        "RGB PNG of 8 or 16 bits that holds (n + 1) / 2 of its range, or .npy [h, w, 3] in [-1, 1]: "
        f"a unit vector a pixel, {options.axes}. No normal: mid grey or black in a PNG, the zero vector in .npy."
    )
