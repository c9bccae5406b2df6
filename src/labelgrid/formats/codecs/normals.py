"""Reads and writes surface normals: PNG, .npy, .npz, .tiff, .exr of vectors, in declared axes."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.formats import containers
from labelgrid.formats.arrays import check_any_valid, save_array, save_png, shape_text
from labelgrid.formats.channels import shown_numbers
from labelgrid.formats.codec import LabelArray, LazyLabel
from labelgrid.formats.containers import Container, stored_numbers
from labelgrid.formats.containers import stored_size as stored_size
from labelgrid.formats.exr_channels import names_in, normal_names, read_normals
from labelgrid.formats.heads import head_of

EXTENSIONS = containers.EXTENSIONS
CHANNELS = 3
DTYPE = np.float32
EXAMPLES = ((0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (0.0, -0.8, 0.6))

#: Where an axis of a file can point -> our axis (x right, y up, z toward the camera), and the sign.
DIRECTIONS = {
    "right": (0, 1),
    "left": (0, -1),
    "up": (1, 1),
    "down": (1, -1),
    "toward the camera": (2, 1),
    "away from the camera": (2, -1),
}
#: For each of our axes, the channel of a file that holds it, and the sign.
Turn = tuple[tuple[int, int], ...]


def _turns() -> dict[str, Turn]:
    """Each way in which a file's three axes can point, in words, and the turn."""
    turns = {}
    for words in product(DIRECTIONS, repeat=3):
        ours = [DIRECTIONS[word] for word in words]
        channel_of = {axis: (channel, sign) for channel, (axis, sign) in enumerate(ours)}
        if len(channel_of) == 3:
            text = ", ".join(f"{name} {word}" for name, word in zip("xyz", words, strict=True))
            turns[text] = tuple(channel_of[axis] for axis in range(3))
    return turns


#: Axis convention of a file -> what converts it to x right, y up, z toward the camera.
AXES: dict[str, Turn] = _turns()
#: The accepted error of a vector's length: 8-bit rounding causes 0.007, smoothing along surfaces a
#: little more.
LENGTH_TOLERANCE = 0.05
#: The accepted share of pixels with a larger error (resized across an edge); they count as not
#: valid.
SHARE_OFF = 0.01
#: If more vectors than this share point away from the camera, the declared axes are taken to be
#: wrong. Of right labels at most 0.35 do (NYUv2's training frames) or 0.49 (rendered rooms).
SHARE_AWAY = 0.6
#: OpenCV's axes, the most likely ones of files that need others.
AWAY = "x right, y down, z away from the camera"
#: A length that is so near the tolerance is computed exactly.
ROUNDING = 1e-5
#: Rows that are encoded at a time.
BAND = 64
#: Pixels that are decoded at a time.
CACHED = 2**14
#: The three components [h, w] of vectors, apart: NumPy is slow along an axis of three.
Planes = list[Floats32]


@dataclass(frozen=True)
class Options(Container):
    """The meaning of a normal map's channels.

    Args:
        axes: the directions of the file's three axes, in any order: right or left, up or down,
            toward or away from the camera (a key of `AXES`); the default is labelgrid's own
            convention.
    """

    axes: str = "x right, y up, z toward the camera"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axes not in AXES:
            raise ValueError(
                f"unknown axes '{self.axes}'; they are x, y and z, each with one of "
                f"{', '.join(DIRECTIONS)}, such as '{AWAY}'"
            )


def read(path: Path, options: Options) -> LabelArray:
    """Read unit vectors (float32, c = 3) from RGB of 8 or 16 bits, or floating-point numbers.

    Their axes are x right, y up, z toward the camera. PNG, and TIFF of whole numbers: v / 127.5 - 1
    (16-bit: v / 32767.5 - 1); mid grey and black mean "no normal". Floating-point numbers, of
    [h, w, 3] or [3, h, w]: the zero vector and vectors that are not finite mean it. Valid vectors
    are normalised to exactly unit length.

    Raises:
        LabelError: not three channels, more than 1 % of the vectors not of unit length (within
            0.05), most pointing away from the camera, no valid pixel, or a damaged file.
    """
    stored = _stored(path, options)
    vectors = _vectors(stored, path, options.axes, _is_unit)
    number = vectors.present
    valid = np.count_nonzero(vectors.valid)
    if number - valid > SHARE_OFF * number:
        middle = _median_length(stored)
        raise LabelError(
            f"{number - valid} of {number} normals are not of unit length (within "
            f"{LENGTH_TOLERANCE}); the median length is {middle:.3g}.",
            where=path,
            next_step=_encoding(path),
        )
    _check_facing(vectors.away / valid, options.axes, path)
    return LazyLabel.of(stored, vectors.valid, _unit_vectors, options.axes)


def read_prediction(path: Path, options: Options) -> LabelArray:
    """As `read`, for a prediction: its vectors may point anywhere, and some may be short.

    An upsampling leaves such short ones.

    Raises:
        LabelError: not three channels, the median length is not 1 (within 0.05), no valid pixel, or
            a damaged file.
    """
    stored = _stored(path, options)
    vectors = _vectors(stored, path, options.axes, _has_direction)
    middle = _median_length(stored)
    if not abs(middle - 1) <= LENGTH_TOLERANCE:
        raise LabelError(
            f"The median length of the normals is {middle:.3g}, not 1.",
            where=path,
            next_step=_encoding(path),
        )
    return LazyLabel.of(stored, vectors.valid, _unit_vectors, options.axes)


class _Vectors(NamedTuple):
    """The vectors of a file.

    Attributes:
        present: how many there are.
        valid: [h, w], where there is a valid one.
        away: how many valid ones point away from the camera.
    """

    present: int
    valid: Bools
    away: int


def _is_unit(length: Floats32) -> Bools:
    return np.abs(length - 1) <= LENGTH_TOLERANCE


def _has_direction(length: Floats32) -> Bools:
    """Whether a length is finite and above 0; the computed length of a tiny vector is 0."""
    return np.isfinite(length) & (length > 0)


def _stored(path: Path, options: Options) -> Array:
    numbers = stored_numbers(path, options, read_normals)
    stored = shown_numbers(numbers, path, "A normal map")
    if stored.ndim == 3 and len(stored) == 3 and stored.shape[-1] != 3:
        stored = np.ascontiguousarray(np.moveaxis(stored, 0, -1))  # of an array [3, h, w]
    _check_channels(stored, path)
    if stored.dtype not in (np.uint8, np.uint16) and stored.dtype.kind != "f":
        raise LabelError(
            f"Normals are floating-point numbers in [-1, 1], or whole ones of 8 or 16 bits; "
            f"this one is {shape_text(stored)}.",
            where=path,
        )
    return stored


def _vectors(
    stored: Array, path: Path, axes: str, is_valid: Callable[[Floats32], Bools]
) -> _Vectors:
    channel, sign = AXES[axes][2]
    valid = np.ones(stored.shape[:2], np.bool_)
    number = 0
    away = 0
    for rows in _cached_rows(stored):
        if _are_all_unit(stored[rows]):  # and so valid by either rule
            number += valid[rows].size
            low = np.iinfo(stored.dtype).max // 2
            below = int(np.count_nonzero(stored[rows, :, channel] <= low))
            away += below if sign > 0 else valid[rows].size - below
            continue
        planes, present = _decode(stored[rows])
        valid[rows] = present & is_valid(_lengths(planes))
        number += int(np.count_nonzero(present))
        away += int(np.count_nonzero((sign * planes[channel] < 0) & valid[rows]))
    if not number:
        why = "a pixel without a normal is mid grey or black in a PNG, zero in other files"
        check_any_valid(np.zeros_like(valid), path, why)
    return _Vectors(number, valid, away)


def _are_all_unit(stored: Array) -> bool:
    """Whether all whole numbers surely are of unit vectors; False where rounding could decide."""
    import cv2  # imported late: commands that only need the options start faster

    if stored.dtype.kind == "f":
        return False
    one = np.iinfo(stored.dtype).max / 2
    parts = stored.astype(np.float32)
    parts -= np.float32(one)
    parts *= parts
    squares = cv2.transform(parts, np.ones((1, 3), np.float32))
    shortest = one * (1 - LENGTH_TOLERANCE) * (1 + ROUNDING)
    longest = one * (1 + LENGTH_TOLERANCE) * (1 - ROUNDING)
    return bool(shortest**2 < squares.min() and squares.max() < longest**2)


def _unit_vectors(stored: Array, valid: Bools, axes: str) -> Floats32:
    """The vectors of unit length [h, w, 3] in our axes; 0 where not valid."""
    import cv2  # imported late: commands that only need the options start faster

    unit = np.empty(stored.shape, np.float32)
    for rows in _cached_rows(stored):
        planes, _ = _decode(np.ascontiguousarray(stored[rows]))
        turned = _unit_planes(planes, _lengths(planes), valid[rows], axes)
        cv2.merge(turned, unit[rows])
    return unit


def _cached_rows(stored: Array) -> list[slice]:
    """A few rows at a time, so that the vectors stay in the processor's cache."""
    step = max(1, CACHED // stored.shape[1])
    return [slice(top, top + step) for top in range(0, len(stored), step)]


def _median_length(stored: Array) -> float:
    lengths = []
    for rows in _cached_rows(stored):
        planes, present = _decode(stored[rows])
        lengths.append(_lengths(planes)[present])
    return float(np.median(np.concatenate(lengths)))


def _unit_planes(planes: Planes, length: Floats32, valid: Bools, axes: str) -> Planes:
    """Normalise and turn the valid vectors; the others become 0. Changes the planes."""
    factor = np.divide(1, np.where(valid, length, np.float32(np.inf)))
    turned = []
    for channel, sign in AXES[axes]:
        planes[channel] *= sign * factor
        turned.append(planes[channel])
    return turned


def _lengths(planes: Planes) -> Floats32:
    with np.errstate(over="ignore", under="ignore"):
        squares: Floats32 = planes[0] ** 2
        squares += planes[1] ** 2
        squares += planes[2] ** 2
    return np.sqrt(squares)


def _encoding(path: Path) -> str:
    if path.suffix.lower() in (".npy", ".npz", ".exr"):
        return "Normalise the vectors, and store them as they are."
    return "Normalise the vectors, and store them as (n + 1) / 2 of the PNG's range."


def normalise_vectors(
    vector: Array, path: Path, axes: str, void: str, shortest: float = 0.0
) -> LabelArray:
    """Make a label of vectors [h, w, 3] of any length.

    Those longer than `shortest` are valid.

    Args:
        vector: as the file has them.
        path: the file.
        axes: where its axes point, a key of `AXES`.
        void: a function that tells which vectors are not valid, for a label without valid ones.
        shortest: the length of a vector that is not valid, at most.

    Raises:
        EmptyLabelError: no vector is valid.
        LabelError: there are not three channels, or most vectors point away from the camera.
    """
    _check_channels(vector, path)
    with np.errstate(over="ignore"):
        length = np.linalg.norm(vector.astype(np.float32), axis=2)
    valid = np.isfinite(length) & (length > shortest)
    check_any_valid(valid, path, void)
    unit = np.where(valid[..., None], vector, 0) / np.where(valid, length, 1)[..., None]
    turned = turn(unit, AXES[axes]).astype(np.float32)
    away = np.count_nonzero((turned[..., 2] < 0) & valid) / np.count_nonzero(valid)
    _check_facing(away, axes, path)
    return LabelArray(turned, valid)


def turn(vectors: Array, axes: Turn) -> Array:
    """Vectors [h, w, 3] of a file in our axes."""
    return np.stack([sign * vectors[..., channel] for channel, sign in axes], axis=-1)


def other_axes(declared: str) -> dict[str, Turn]:
    """The other axes of a file -> the turn into ours for vectors read as `declared`.

    Example:
        >>> other_axes("x right, y up, z toward the camera")["x up, y right, z toward the camera"]
        ((1, 1), (0, 1), (2, 1))
    """
    ours = {channel: (axis, sign) for axis, (channel, sign) in enumerate(AXES[declared])}
    turns = {}
    for name, turned in AXES.items():
        if name != declared:
            turns[name] = tuple((ours[c][0], sign * ours[c][1]) for c, sign in turned)
    return turns


def _check_channels(stored: Array, path: Path) -> None:
    if stored.ndim != 3 or stored.shape[-1] != 3:
        raise LabelError(
            f"A normal map has three channels, the last axis; this one is {shape_text(stored)}.",
            where=path,
            next_step="Write [h, w, 3].",
        )


def _decode(stored: Array) -> tuple[Planes, Bools]:
    """The three components of stored vectors, and where there is a vector."""
    import cv2  # imported late: commands that only need the options start faster

    if stored.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            vectors = stored.astype(np.float32)
        present = np.isfinite(vectors).all(-1) & (vectors != 0).any(-1)
        filled = np.where(present[..., None], vectors, np.float32(0))
        return [filled[..., channel].copy() for channel in range(3)], present
    steps = cv2.split(stored)
    largest = np.iinfo(stored.dtype).max
    planes = [plane.astype(np.float32) for plane in steps]
    for plane in planes:
        plane /= np.float32(largest / 2)
        plane -= 1
    # There is no vector where the three numbers are all 0, or all in the middle, which two are.
    low = stored.dtype.type(largest // 2)
    black = steps[0] | steps[1] | steps[2]
    grey = (steps[0] - low) | (steps[1] - low) | (steps[2] - low)  # below `low` they wrap around
    return planes, (black != 0) & (grey > 1)


def _check_facing(away: float, axes: str, path: Path) -> None:
    if away > SHARE_AWAY:
        raise LabelError(
            f"{away:.0%} of the normals point away from the camera if the axes are '{axes}'.",
            where=path,
            next_step=f'Declare the axes the file was written in, such as `axes = "{AWAY}"`; or, '
            "if this is so in some of the files alone, their normals are in world axes, as many "
            "renderers write them: turn them into each camera's.",
            declare={"axes": AWAY},
        )


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write by the path's extension: a 16-bit RGB PNG (read back within 0.00003) or float32 .npy.

    Raises:
        LabelError: the disk reports an error.
    """
    is_array = path.suffix.lower() == ".npy"
    stored = np.empty(label.value.shape, np.float32 if is_array else np.uint16)
    # A large map at once in float64 would take four times its memory.
    for top in range(0, len(stored), BAND):
        rows = slice(top, top + BAND)
        turned = np.zeros_like(label.value[rows], np.float32)  # in the file's axes
        for axis, (channel, sign) in enumerate(AXES[options.axes]):
            values = sign * label.value[rows, :, axis]
            turned[..., channel] = np.where(label.valid[rows], values, 0)
        if is_array:
            stored[rows] = turned
        else:
            exact = (turned.astype(np.float64) + 1) * 32767.5
            stored[rows] = np.rint(np.clip(exact, 0, 65535))
    save = save_array if is_array else save_png
    save(path, stored)


def recognise(path: Path) -> Recognition | None:
    """Recognise three channels, which in the first rows of a PNG are unit vectors.

    Rows without a vector say nothing; the colours of an EXR file may be normals.
    """
    if path.suffix.lower() == ".exr":
        names = normal_names(names_in(path))
        if not names:
            return None
        return Recognition("a normal map", 0.3 if "RGB" in names else 0.8)
    head = head_of(path, EXTENSIONS)
    if head is None or head.channels != 3:
        return None
    if head.rows is None:
        return Recognition("a normal map", 0.8 if head.dtype.kind == "f" else 0.3)
    planes, present = _decode(head.rows)
    vectors = np.stack(planes, -1)[present]
    if not len(vectors):
        return Recognition("a normal map", 0.3)
    if np.mean(_is_unit(np.linalg.norm(vectors, axis=-1))) < 1 - SHARE_OFF:
        return None
    return Recognition("a normal map", 0.9)


def describe(options: Options) -> str:
    """Describe the file to annotators."""
    return (
        "RGB PNG of 8 or 16 bits that holds (n + 1) / 2 of its range, or .npy, .npz, .tiff or .exr "
        f"[h, w, 3] in [-1, 1]: a unit vector a pixel, {options.axes}. "
        "No normal: mid grey or black in a PNG, the zero vector in other files."
    )
