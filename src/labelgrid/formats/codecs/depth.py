"""Reads and writes depth or disparity: a 16-bit PNG of millimetres, or .npy or .tiff of metres."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelgrid.errors import LabelError
from labelgrid.formats.arrays import (
    check_any_valid,
    one_channel,
    samples,
    save_array,
    save_png,
    shape_text,
    stored_size,  # noqa: F401 - of the codec
)
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.formats.heads import FEW, Head, head_of
from labelgrid.recognition import Recognition

EXTENSIONS = (".png", ".npy", ".tiff", ".tif")
CHANNELS = 1
DTYPE = np.float32
EXAMPLES = ((0.5,), (1.25,), (40.0,))


@dataclass(frozen=True)
class Options(Form):
    """The meaning of a depth map's numbers.

    Args:
        scale: metres (for disparity: its unit) for one step of the file's numbers. None: 0.001 for
            16-bit integers, 1 for floating-point numbers; other integers are refused.
        disparity: the values grow toward the camera.
        maximum: a label with a larger valid value is refused, in metres (or the disparity's unit).
    """

    scale: float | None = None
    disparity: bool = False
    maximum: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("scale", self.scale), ("maximum", self.maximum)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be larger than 0; it is {value}")


def read(path: Path, options: Options) -> LabelArray:
    """Read metres (float32, c = 1) from a PNG, .npy or .tiff.

    Numbers <= 0, NaN and infinite are not valid.

    Raises:
        LabelError: 8-bit numbers without a declared scale, several channels, no valid pixel, a
            value above the declared maximum, or a damaged file.
    """
    stored = one_channel(samples(path), path, "A depth map")
    scale = _scale(stored.dtype, options)
    if scale is None:
        raise LabelError(
            f"The depth is {shape_text(stored)}, and its scale is not declared.",
            where=str(path),
            next_step="Write a 16-bit PNG of millimetres, or declare the scale of all the task's "
            "labels in metres per step, such as `scale = 0.01`.",
            declare={"scale": 0.01},
        )
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.multiply(stored, np.float32(scale), dtype=np.float32, casting="same_kind")
        valid = value > 0
        valid &= value < np.inf
    check_any_valid(valid, path, "numbers <= 0, NaN and infinite are not")
    np.copyto(value, 0, where=~valid)
    if options.maximum is not None:
        _check_maximum(float(value.max()), options.maximum, path)
    return LabelArray(value[..., None], valid)


def _check_maximum(largest: float, maximum: float, path: Path) -> None:
    if largest > maximum:
        raise LabelError(
            f"The largest value is {largest:.6g}, above the declared maximum of {maximum:.6g}.",
            where=str(path),
            next_step="Check the scale (metres or millimetres?), or declare a larger maximum: "
            f"`maximum = {largest:.6g}`.",
            declare={"maximum": float(f"{largest:.6g}")},
        )


def _scale(dtype: "np.dtype[np.generic]", options: Options) -> float | None:
    """Metres for one step of numbers of this type; None if it is unknown."""
    if options.scale is not None:
        return options.scale
    if dtype == np.uint16:
        return 0.001
    if dtype.kind == "f":
        return 1.0
    return None


def write(path: Path, label: LabelArray, options: Options) -> None:
    """Write by the path's extension: .png rounds to 16-bit steps, .npy and .tiff hold float32.

    Pixels that are not valid become 0. A valid value below half a step of a PNG becomes one step,
    so that it stays valid.

    Raises:
        LabelError: a value exceeds 65535 steps of a PNG, or the disk reports an error.
    """
    value = np.where(label.valid, label.value[..., 0], 0.0).astype(np.float64)
    if path.suffix.lower() != ".png":
        save_array(path, (value / (options.scale or 1.0)).astype(np.float32))
        return
    scale = options.scale or 0.001
    steps = np.where(label.valid, np.maximum(np.rint(value / scale), 1), 0)
    if steps.max() > np.iinfo(np.uint16).max:
        raise LabelError(
            f"The largest value, {value.max():.6g}, exceeds the range of a 16-bit PNG "
            f"with steps of {scale:g}.",
            where=str(path),
            next_step="Write .npy or .tiff, or declare a larger scale.",
        )
    save_png(path, steps.astype(np.uint16))


def recognise(path: Path) -> Recognition | None:
    """Recognise one channel of floating-point numbers, or of 16 bits.

    A PNG of 16 bits with few numbers in its first rows may as well be a class map.
    """
    head = head_of(path, EXTENSIONS)
    if head is None or head.channels != 1 or head.palette:
        return None
    return Recognition("a depth map", _sureness(head))


def _sureness(head: Head) -> float:
    if head.dtype.kind == "f":
        return 0.8
    if head.dtype != np.uint16:
        return 0.1
    return 0.8 if len(head.numbers) > FEW else 0.5


def describe(options: Options) -> str:
    """Describe the file to annotators."""
    if options.disparity:
        meaning = "disparity (larger is nearer)"
        unit = ""
    else:
        meaning = "depth along the camera's axis"
        unit = " m"
    if options.scale is None:
        scale = (
            f"PNG of 16 bits with steps of 0.001{unit}, "
            f"or .npy or .tiff of floating-point numbers (1 is 1{unit})"
        )
    else:
        scale = f"PNG of 8 or 16 bits, .npy or .tiff with steps of {options.scale:g}{unit}"
    limit = ""
    if options.maximum is not None:
        limit = f" The largest possible value is {options.maximum:g}{unit}."
    return f"{scale}: {meaning}. Not measured: 0, NaN or infinite.{limit}"
