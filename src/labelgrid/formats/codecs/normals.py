"""Reads and writes surface normals: an RGB PNG or .npy of unit vectors, in a declared axis convention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelError
from labelgrid.formats.arrays import (
    check_any_valid,
    samples,
    save_array,
    save_png,
    shape_text,
    stored_size,  # noqa: F401 - of the codec
)
from labelgrid.formats.codec import Form, LabelArray

EXTENSIONS = (".png", ".npy")
CHANNELS = 3
DTYPE = np.float32

#: Axis convention of a file -> the signs that convert it to x right, y up, z toward the camera.
AXES: dict[str, tuple[int, int, int]] = {
    f"x {x}, y {y}, z {z} the camera": (
        1 if x == "right" else -1,
        1 if y == "up" else -1,
        1 if z == "toward" else -1,
    )
    for x, y, z in product(("right", "left"), ("up", "down"), ("toward", "away from"))
}
#: The accepted error of a vector's length: 8-bit rounding causes 0.007, smoothing along surfaces a
#: little more.
LENGTH_TOLERANCE = 0.05
#: The accepted share of pixels with a larger error (resized across an edge); they count as not
#: valid.
SHARE_OFF = 0.01
#: If more vectors than this share point away from the camera, the declared axes are taken to be
#: wrong.
SHARE_AWAY = 0.9
#: OpenCV's axes, the most likely ones of files that need others.
AWAY = "x right, y down, z away from the camera"
#: Rows that are encoded at a time.
BAND = 64
#: Pixels that are decoded at a time.
CACHED = 2**16
#: The three components [h, w] of vectors, apart: NumPy is slow along an axis of three.
Planes = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Options(Form):
    """The meaning of a normal map's channels.

    Args:
        axes: where the file's three axes point (a key of `AXES`); the default is labelgrid's own
            convention.
    """

    axes: str = "x right, y up, z toward the camera"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axes not in AXES:
            raise ValueError(f"unknown axes '{self.axes}'; known: {'; '.join(AXES)}")


def read(path: Path, options: Options) -> LabelArray:
    """Read unit vectors (float32, c = 3; x right, y up, z toward the camera) from an 8- or 16-bit RGB PNG, or .npy.

    PNG: v / 127.5 - 1 (16-bit: v / 32767.5 - 1); mid grey and black mean "no normal". `.npy`: the
    zero vector and vectors that are not finite mean it. Valid vectors are normalised to exactly
    unit length.

    Raises:
        LabelError: not three channels, more than 1 % of the vectors not of unit length (within
            0.05), nearly all pointing away from the camera, no valid pixel, or a damaged file.
    """
    found = _vectors(path, options.axes, _is_unit)
    _check_unit(found, path)
    _check_facing(found.unit[..., 2], found.valid, options.axes, path)
    return LabelArray(found.unit, found.valid)


def read_prediction(path: Path, options: Options) -> LabelArray:
    """As `read`, for a prediction: it may point anywhere, and single vectors, as an upsampling leaves them, be shorter.

    Raises:
        LabelError: not three channels, the median length is not 1 (within 0.05), no valid pixel, or
            a damaged file.
    """
    found = _vectors(path, options.axes, _has_direction)
    middle = float(np.median(found.length[found.present]))
    if not abs(middle - 1) <= LENGTH_TOLERANCE:
        raise LabelError(
            f"The median length of the normals is {middle:.3g}, not 1.",
            where=str(path),
            next_step=_encoding(path),
        )
    return LabelArray(found.unit, found.valid)


class _Vectors(NamedTuple):
    """The vectors of a file: unit ones [h, w, 3], 0 where not valid.

    And where there is one, is a valid one [h, w].

    `length` [h, w] is that of the vectors in the file.
    """

    unit: NDArray[np.float32]
    present: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    length: NDArray[np.float32]

    @classmethod
    def of(cls, height: int, width: int) -> "_Vectors":
        """Room for the vectors of a file of this size."""
        present, valid = np.empty((2, height, width), np.bool_)
        unit = np.empty((height, width, 3), np.float32)
        return cls(unit, present, valid, np.empty((height, width), np.float32))


def _is_unit(length: NDArray[np.float32]) -> NDArray[np.bool_]:
    """An infinite length is refused as any other wrong one."""
    return np.abs(length - 1) <= LENGTH_TOLERANCE


def _has_direction(length: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The squares of a tiny vector are 0."""
    return np.isfinite(length) & (length > 0)


def _vectors(
    path: Path, axes: str, is_valid: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
) -> _Vectors:
    """Read the vectors of a file, some rows at a time, so that they stay in the processor's cache.

    Raises:
        LabelError: there are not three channels of numbers, or there is no vector.
    """
    stored = samples(path)
    _check_channels(stored, path)
    if stored.dtype not in (np.uint8, np.uint16) and stored.dtype.kind != "f":
        what = f"Normals in .npy are numbers in [-1, 1]; this one is {shape_text(stored)}."
        raise LabelError(what, where=str(path))
    height, width = stored.shape[:2]
    found = _Vectors.of(height, width)
    step = max(1, CACHED // width)
    for top in range(0, height, step):
        rows = slice(top, top + step)
        planes, found.present[rows] = _decoded(stored[rows])
        length = found.length[rows] = _lengths(planes)
        valid = found.valid[rows] = found.present[rows] & is_valid(length)
        found.unit[rows] = _unit_vectors(planes, length, valid, axes)
    check_any_valid(
        found.present, path, "a pixel without a normal is mid grey or black in a PNG, zero in .npy"
    )
    return found


def _unit_vectors(
    planes: Planes, length: NDArray[np.float32], valid: NDArray[np.bool_], axes: str
) -> NDArray[np.float32]:
    """Normalise and turn the valid vectors; the others become 0.

    Changes the planes, and returns [h, w, 3].
    """
    import cv2

    factor = np.divide(1, length, out=np.zeros_like(length), where=valid)
    for plane, sign in zip(planes, AXES[axes], strict=True):
        plane *= sign * factor
    return cv2.merge(planes).reshape(*length.shape, 3).astype(np.float32, copy=False)


def _lengths(planes: Planes) -> NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):
        squares: NDArray[np.float32] = planes[0] ** 2
        squares += planes[1] ** 2
        squares += planes[2] ** 2
    return np.sqrt(squares)


def _encoding(path: Path) -> str:
    """What to do about vectors that are not of unit length."""
    stored = (
        "store them as they are"
        if path.suffix == ".npy"
        else "store them as (n + 1) / 2 of the PNG's range"
    )
    return f"Normalise the vectors, and {stored}."


def normalise_vectors(
    vector: NDArray[Any], path: Path, axes: str, void: str, shortest: float = 0.0
) -> LabelArray:
    """The label of vectors [h, w, 3] of any length, which are valid where they are longer than `shortest`.

    Args:
        vector: as the file has them.
        path: the file.
        axes: where its axes point, a key of `AXES`.
        void: says which vectors are not valid, for a label without valid ones.
        shortest: the length of a vector that is not valid, at most.

    Raises:
        EmptyLabelError: no vector is valid. LabelError: there are not three channels, or nearly all
            vectors point away from the camera.
    """
    _check_channels(vector, path)
    with np.errstate(over="ignore"):
        length = np.linalg.norm(vector.astype(np.float32), axis=2)
    valid = np.isfinite(length) & (length > shortest)
    check_any_valid(valid, path, void)
    unit = np.where(valid[..., None], vector, 0) / np.where(valid, length, 1)[..., None]
    turned = (unit * AXES[axes]).astype(np.float32)
    _check_facing(turned[..., 2], valid, axes, path)
    return LabelArray(turned, valid)


def _check_channels(stored: NDArray[Any], path: Path) -> None:
    if stored.ndim != 3 or stored.shape[-1] != 3:
        raise LabelError(
            f"A normal map has three channels, the last axis; this one is {shape_text(stored)}.",
            where=str(path),
            next_step="Write [h, w, 3].",
        )


def _decoded(stored: NDArray[Any]) -> tuple[Planes, NDArray[np.bool_]]:
    """The three components of stored vectors, and where there is a vector."""
    import cv2  # imported late: commands that only need the options start faster

    if stored.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            vectors = stored.astype(np.float32)
        present = np.isfinite(vectors).all(-1) & (vectors != 0).any(-1)
        kept = np.where(present[..., None], vectors, np.float32(0))
        return [kept[..., channel].copy() for channel in range(3)], present
    steps = cv2.split(stored)
    half = np.float32(np.iinfo(stored.dtype).max / 2)
    planes = [np.divide(plane, half, dtype=np.float32) - 1 for plane in steps]
    return planes, _is_present(steps)


def _is_present(steps: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Where the three unsigned numbers of a pixel are neither all 0 nor all one of the two in the middle."""
    low = steps[0].dtype.type(np.iinfo(steps[0].dtype).max // 2)
    black = steps[0] | steps[1] | steps[2]
    grey = (steps[0] - low) | (steps[1] - low) | (steps[2] - low)  # below `low` they wrap around
    return (black != 0) & (grey > 1)


def _check_unit(found: _Vectors, path: Path) -> None:
    off = int((found.present & ~found.valid).sum())
    if off > SHARE_OFF * found.present.sum():
        raise LabelError(
            f"{off} of {int(found.present.sum())} normals are not of unit length (within {LENGTH_TOLERANCE}); "
            f"the median length is {float(np.median(found.length[found.present])):.3g}.",
            where=str(path),
            next_step=_encoding(path),
        )


def _check_facing(z: NDArray[np.float32], valid: NDArray[np.bool_], axes: str, path: Path) -> None:
    away = np.count_nonzero((z < 0) & valid) / np.count_nonzero(valid)
    if away > SHARE_AWAY:
        raise LabelError(
            f"{away:.0%} of the normals point away from the camera if the axes are '{axes}'.",
            where=str(path),
            next_step=f'Declare the axes the file was written in, such as `axes = "{AWAY}"`.',
            declare={"axes": AWAY},
        )


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write by the path's extension: a 16-bit RGB PNG (read back within 0.00003) or float32 .npy.

    Raises:
        LabelError: the disk reports an error.
    """
    numbers = path.suffix.lower() == ".npy"
    stored = np.empty(label.value.shape, np.float32 if numbers else np.uint16)
    for top in range(
        0, len(stored), BAND
    ):  # in float64, so a large map at once would take four times its memory
        rows = slice(top, top + BAND)
        signed = label.value[rows] * np.asarray(AXES[options.axes])
        vector = np.where(label.valid[rows, :, None], signed, 0).astype(np.float32)
        stored[rows] = (
            vector
            if numbers
            else np.rint(np.clip((vector.astype(np.float64) + 1) * 32767.5, 0, 65535))
        )
    (save_array if numbers else save_png)(path, stored)


def describe(options: Options) -> str:
    """Describe the file to annotators."""
    return (
        "RGB PNG of 8 or 16 bits that holds (n + 1) / 2 of its range, or .npy [h, w, 3] in [-1, 1]: "
        f"a unit vector a pixel, {options.axes}. No normal: mid grey or black in a PNG, the zero vector in .npy."
    )
