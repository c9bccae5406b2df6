"""Reads and writes depth or disparity: PNG of millimetres, or .npy, .npz, .tiff, .exr of metres."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.words import join_names
from labelgrid.formats import containers
from labelgrid.formats.arrays import check_any_valid, one_channel, save_array, save_png, shape_text
from labelgrid.formats.channels import equal_channels, shown_grey, without_alpha
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.containers import Container, stored_numbers
from labelgrid.formats.containers import stored_size as stored_size
from labelgrid.formats.exr_channels import depth_names, names_in, read_depth
from labelgrid.formats.heads import FEW, head_of
from labelgrid.formats.unmeasured import LARGEST, lone_largest, number_text

EXTENSIONS = containers.EXTENSIONS
CHANNELS = 1
DTYPE = np.float32
EXAMPLES = ((0.5,), (1.25,), (40.0,))
#: Larger floating-point numbers are not measured: Blender writes 1e10, which some compressions
#: round, where a ray meets nothing.
FARTHEST = 9.9e9
#: The scale of 16 bits without a declared one.
MILLIMETRE = 0.001
#: The scales that files usually have, as they are declared.
SCALES = {"1": 1.0, "0.001": 0.001, '"1/256"': 1 / 256, "0.01": 0.01, '"1/5000"': 1 / 5000}
#: So many pixels of one number are no single wrong measurements.
MANY = 10
#: Those of centimetres and millimetres: they explain a value above the maximum that they bring
#: below it, but not below this share of it.
METRIC = (0.01, 0.001)
EXPLAINED = 0.1


@dataclass(frozen=True)
class Options(Container):
    """The meaning of a depth map's numbers.

    Args:
        scale: metres (for disparity: its unit) for one step of the file's numbers; a number, or a
            fraction as text, such as "1/256". None: 0.001 for 16-bit integers, 1 for floating-point
            numbers; other integers are refused.
        disparity: the values grow toward the camera.
        maximum: a label with a larger valid value is refused, in metres (or the disparity's unit).
        ignore: numbers in files, before the scale, that mean "not measured", such as 65504 or
            65535, the largest number of a type; in addition to 0 and below, NaN, infinite, 1e10.
    """

    scale: float | str | None = None
    disparity: bool = False
    maximum: float | None = None
    ignore: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(math.isfinite(number) and number > 0 for number in self.ignore):
            raise ValueError(
                f"ignore needs numbers above 0, as others are never measured; it is {self.ignore}"
            )
        for name, value in (("scale", self.step), ("maximum", self.maximum)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be larger than 0; it is {value}")

    @property
    def step(self) -> float | None:
        """The scale as a number.

        Raises:
            ValueError: it is text, but no fraction.
        """
        if not isinstance(self.scale, str):
            return self.scale
        match = re.fullmatch(r"(\d{1,15})/(\d{1,15})", self.scale, re.ASCII)
        if match is None or not int(match[2]):
            raise ValueError(
                f'scale must be a number or a fraction such as "1/256"; it is {self.scale!r}'
            )
        return int(match[1]) / int(match[2])


def read(path: Path, options: Options) -> LabelArray:
    """Read metres (float32, c = 1) from a PNG, .npy, .npz, .tiff or .exr.

    Numbers <= 0, NaN, infinite ones, Blender's background, 1e10, and declared ones are not valid.

    Raises:
        LabelError: 8-bit numbers without a declared scale, several channels, no valid pixel, a
            value above the declared maximum, or a damaged file.
    """
    stored, scale, label = _read(path, options)
    largest = 0.0 if options.maximum is None else float(label.value.max())
    if options.maximum is not None and largest > options.maximum:
        _refuse_unmeasured(stored[label.valid], scale, options, path)
        _refuse_larger(largest, scale, options.maximum, path)
    return label


def read_prediction(path: Path, options: Options) -> LabelArray:
    """As `read`; numbers above the declared maximum are allowed."""
    return _read(path, options)[2]


def _read(path: Path, options: Options) -> tuple[Array, float, LabelArray]:
    """The numbers in a file, the scale, and the label."""
    stored = _stored(path, options)
    scale = _scale(stored, options)
    if scale is None:
        raise LabelError(
            f"The depth is {shape_text(stored)}, and its scale is not declared.",
            where=path,
            next_step="Write a 16-bit PNG of millimetres, or declare the scale of all the task's "
            f"labels in metres per step, such as `scale = 0.01`; usual are {', '.join(SCALES)}.",
            declare={"scale": 0.01},
        )
    with np.errstate(over="ignore", invalid="ignore"):
        value = _scaled(stored, scale)
        valid = _measured(stored, value, options)
    *unmeasured, last = ["numbers <= 0", "NaN", "infinite", *map(number_text, options.ignore)]
    check_any_valid(valid, path, f"{join_names(unmeasured)} and {last} are not")
    if not valid.all():
        np.copyto(value, 0, where=~valid)
    return stored, scale, LabelArray(value[..., None], valid)


def read_relative(path: Path, options: Options, shift: bool) -> LabelArray | None:
    """Read a map, true up to a scale or a scale and a shift, as numbers that `read` allows.

    With a shift, all finite floating-point numbers are measured if some are below 0.

    Returns:
        The map; None if `read` reads it just so.

    Raises:
        LabelError: several channels, no valid pixel, or a damaged file.
    """
    stored = _stored(path, options)
    scale = _scale(stored, options)
    with np.errstate(over="ignore", invalid="ignore"):
        value = _scaled(stored, scale or 1.0)
        valid = _measured(stored, value, options)
        finite = (np.abs(stored) < FARTHEST) & ~_is_ignored(stored, options)
        if shift and (finite & (value < 0)).any():
            valid = finite
    check_any_valid(valid, path, "only finite numbers, and without a shift numbers > 0, are")
    lowest, highest = (float(end(value[valid])) for end in (np.min, np.max))
    largest = options.maximum or math.inf
    if scale and lowest > 0 and highest <= largest:
        return None
    numbers = np.where(valid, value, 0).astype(np.float64)
    if lowest <= 0:
        raised = (highest - lowest) / 1000 or 1.0
        numbers += raised - lowest
        highest += raised - lowest
    numbers *= min(1.0, largest / highest * (1 - 1e-6))
    return LabelArray(np.where(valid, numbers, 0).astype(np.float32)[..., None], valid)


def _stored(path: Path, options: Options) -> Array:
    """The numbers [h, w] in a file."""
    numbers = _one_grey(stored_numbers(path, options, read_depth), path)
    if numbers.ndim == 3 and len(numbers) == 1 and numbers.shape[-1] != 1:
        numbers = numbers[0]  # of an array [1, h, w]
    return one_channel(numbers, path, "A depth map")


def _scale(stored: Array, options: Options) -> float | None:
    """The declared scale, or the usual one of a type; None if there is none."""
    if options.step is None and stored.dtype == np.uint16:
        return MILLIMETRE
    if options.step is None and stored.dtype.kind == "f":
        return 1.0
    return options.step


def _scaled(stored: Array, scale: float) -> Floats32:
    return np.multiply(stored, np.float32(scale), dtype=np.float32, casting="same_kind")


def _one_grey(numbers: Array, path: Path) -> Array:
    if path.suffix.lower() != ".png":
        return numbers
    opaque = without_alpha(shown_grey(numbers, path), path, "A depth map")
    grey = equal_channels(opaque)
    return opaque if grey is None else grey


def _measured(stored: Array, value: Floats32, options: Options) -> Bools:
    """The mask of measured pixels, by the stored numbers and their values."""
    scale = options.step or MILLIMETRE
    if stored.dtype == np.uint16 and 1e-30 < scale < 1e30:  # no value is infinite, or 0 by rounding
        valid = stored > 0
    else:
        valid = value > 0
        valid &= value < np.inf
    if stored.dtype.kind == "f":
        valid &= stored < FARTHEST
    if options.ignore:
        valid &= ~_is_ignored(stored, options)
    return valid


def _is_ignored(stored: Array, options: Options) -> Bools:
    """The mask of numbers declared as not measured, rounded to the file's type first."""
    ignored = np.zeros(stored.shape, np.bool_)
    with np.errstate(over="ignore"):
        for number in options.ignore:
            kept = np.float64(number).astype(stored.dtype) if stored.dtype.kind == "f" else number
            ignored |= stored == kept
    return ignored


def _refuse_unmeasured(numbers: Array, scale: float, options: Options, path: Path) -> None:
    """Refuse a number beyond the maximum that likely means "not measured".

    The number is a type's largest, or one of many pixels, far beyond all others.
    """
    lone = lone_largest(numbers)
    if lone is None or lone.next * scale > (options.maximum or 0):
        return
    meaning = LARGEST.get(int(lone.number))
    if meaning is None and lone.fraction * numbers.size < MANY:
        return
    number = number_text(lone.number)
    raise LabelError(
        f"{lone.fraction:.2%} of its pixels hold {number}{f', {meaning}' if meaning else ''}, "
        f"above the declared maximum of {options.maximum:.6g}; the next number is {lone.next:.6g}. "
        "It likely means 'not measured'.",
        where=path,
        next_step=f"Declare that, if it does: `ignore = [{number}]`. If it is a distance, declare "
        "a larger maximum.",
        declare={"ignore": [*options.ignore, json.loads(number)]},
    )


def _refuse_larger(largest: float, scale: float, maximum: float, path: Path) -> None:
    advice = (
        "Check the scale (metres or millimetres?), or declare a larger maximum: "
        f"`maximum = {largest:.6g}`."
    )
    declare = {"maximum": float(f"{largest:.6g}")}
    for other in METRIC:
        value = largest * other / scale
        if EXPLAINED * maximum <= value <= maximum:
            advice = (
                f"With `scale = {other:g}` it is {value:.4g}: declare it if all the task's labels "
                f"have this unit, else multiply the numbers of this file by {other / scale:g}. If "
                "the value is right, declare a larger maximum."
            )
            declare = {"scale": other}
    raise LabelError(
        f"The largest value is {largest:.6g}, above the declared maximum of {maximum:.6g}.",
        where=path,
        next_step=advice,
        declare=declare,
    )


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write by the path's extension: .png rounds to 16-bit steps, .npy and .tiff hold float32.

    Pixels that are not valid become 0. A valid value below half a step of a PNG becomes one step,
    and stays valid. Likewise, a value that would be written as a number declared as "not measured"
    becomes the next number.

    Raises:
        LabelError: a value exceeds 65535 steps of a PNG, or the disk reports an error.
    """
    value = np.where(label.valid, label.value[..., 0], 0.0).astype(np.float64)
    if path.suffix.lower() != ".png":
        numbers = (value / (options.step or 1.0)).astype(np.float32)
        while _is_ignored(numbers, options).any():
            numbers = np.where(_is_ignored(numbers, options), np.nextafter(numbers, 0), numbers)
        save_array(path, numbers)
        return
    scale = options.step or 0.001
    steps = np.where(label.valid, np.maximum(np.rint(value / scale), 1), 0)
    while _is_ignored(steps, options).any():
        steps += _is_ignored(steps, options)
    if steps.max() > np.iinfo(np.uint16).max:
        raise LabelError(
            f"The largest value, {value.max():.6g}, exceeds the range of a 16-bit PNG "
            f"with steps of {scale:g}.",
            where=path,
            next_step="Write .npy or .tiff, or declare a larger scale.",
        )
    save_png(path, steps.astype(np.uint16))


def recognise(path: Path) -> Recognition | None:
    """Recognise one channel of floating-point numbers, or of 16 bits.

    A PNG of 16 bits with few numbers in its first rows may as well be a class map; the colours of
    an EXR file may be depth thrice.
    """
    if path.suffix.lower() == ".exr":
        names = depth_names(names_in(path))
        if not names:
            return None
        return Recognition("a depth map", 0.3 if names == ["RGB"] else 0.8)
    head = head_of(path, EXTENSIONS)
    if head is None or head.channels != 1 or head.palette:
        return None
    sureness = 0.1
    if head.dtype.kind == "f":
        sureness = 0.8
    elif head.dtype == np.uint16:
        sureness = 0.8 if len(head.numbers) > FEW else 0.5
    return Recognition("a depth map", sureness)


def describe(options: Options) -> str:
    """Describe the file to annotators."""
    if options.disparity:
        meaning = "disparity (larger is nearer)"
        unit = ""
    else:
        meaning = "depth along the camera's axis"
        unit = " m"
    if options.step is None:
        scale = (
            f"PNG of 16 bits with steps of 0.001{unit}, "
            f"or .npy, .npz, .tiff or .exr of floating-point numbers (1 is 1{unit})"
        )
    else:
        scale = (
            f"PNG of 8 or 16 bits, .npy, .npz, .tiff or .exr with steps of {options.step:g}{unit}"
        )
    limit = ""
    if options.maximum is not None:
        limit = f" The largest possible value is {options.maximum:g}{unit}."
    ignored = join_names(["0", "NaN", "infinite", *map(number_text, options.ignore)])
    return f"{scale}: {meaning}. Not measured: {ignored} or 1e10.{limit}"
