"""Derives surface normals from depth: planes are fitted to the inverse depth around each pixel.

Through a pinhole camera, the inverse depth of a plane is linear in the pixel's column and row:
1 / z = a u + b v + c. So a fit by least squares in a square window gives the plane in closed form,
from sums over the window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from labelgrid.basics.array_types import AnyFloats, Bools, Floats
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.formats.arrays import shape_text
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import Derive, Relation, Tried, known_camera
from labelgrid.tasks.task import TaskDef

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target

#: The camera's axis is rounded to this share of a pixel: then it is mirrored without rounding, and
#: the normals of a mirrored image are exactly the mirrored ones.
STEP = 2.0**-20
#: Planes are fitted to so many columns at a time: their arrays stay in the processor's cache.
BAND = 64
#: What `relate` tries: coarse steps of depth need a wide window, and leave large residuals. Both
#: roughly at first, together, then finely in turn.
ROUGHLY: Sequence[Tried] = tuple(
    {"radius": radius, "residual": residual}
    for residual in (15.0, 45.0, 89.0)
    for radius in (2, 1, 4, 6, 11)
)
RADII: Sequence[Tried] = tuple({"radius": radius} for radius in (2, 1, 3, 4, 5, 6, 7, 9, 11))
RESIDUALS: Sequence[Tried] = tuple(
    {"residual": residual} for residual in (5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 89.0)
)
SHARES: Sequence[Tried] = tuple({"least": least} for least in (0.1, 0.6))
TRIES = (*ROUGHLY, *RESIDUALS, *RADII, *RESIDUALS, *SHARES)


@dataclass(frozen=True)
class Options:
    """The window of the fit, and what is too unsure.

    Args:
        radius: the pixels of the window to each side; larger for coarse steps of depth.
        least: the least share of the window's pixels with a valid depth.
        residual: the largest residual of the fit, in degrees: the slope that the root mean square
            of the residuals would make over the radius; at least that of rounding, if depths are
            stored in steps.
    """

    radius: int = 2
    least: float = 0.3
    residual: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.radius, int) or not 1 <= self.radius <= 15:
            raise ValueError(f"radius is a whole number from 1 to 15; it is {self.radius!r}")
        if not 0 < self.least <= 1:
            raise ValueError(f"least is above 0 and at most 1; it is {self.least}")
        if not 0 < self.residual < 90:
            raise ValueError(f"residual lies between 0 and 90 degrees; it is {self.residual}")


class PlaneFit(NamedTuple):
    """Planes of inverse depth [h, w]: `across * du + down * dv + middle` at an offset (du, dv).

    Attributes:
        residual: the root mean square of the residuals.
        valid: where there is a value and a plane can be fitted.
    """

    across: Floats
    down: Floats
    middle: Floats
    residual: Floats
    valid: Bools


def derive_normals(
    options: Options, labels: Sequence[LabelArray], camera: Camera | None
) -> LabelArray:
    """Normals (x right, y up, z toward the camera) of a depth in metres along the camera's axis.

    A pixel is valid where its depth is, enough of the window is, and the fit is good. If depths are
    stored in steps, the fit is taken to be no better than the steps: a flat step may be slanted.

    Raises:
        LabelError: the camera is unknown, or the labels are not one depth map whose valid depths
            are above 0.
    """
    camera = known_camera(camera, "Normals follow from depth")
    depth = _depth_map(labels)
    radius = options.radius
    camera = replace(camera, cx=_rounded(camera.cx), cy=_rounded(camera.cy))
    sides = ((0, 0), (radius, radius))
    inverse = np.pad(np.asfortranarray(_inverse_depth(depth)), sides)
    padded_valid = np.pad(np.asfortranarray(depth.valid), sides)
    step = step_of(depth.value[..., 0][depth.valid])
    value = np.empty((*depth.size, 3), np.float32)
    valid = np.empty(depth.size, np.bool_)
    for left in range(0, depth.size[1], BAND):
        band = slice(left, left + BAND)
        around = slice(left, left + BAND + 2 * radius)
        fit = fit_planes(inverse[:, around], padded_valid[:, around], options)
        # The root mean square of what rounding to steps hides, in inverse depth.
        hidden = step / math.sqrt(12) * inverse[:, around] ** 2
        fit = fit._replace(residual=np.maximum(fit.residual, hidden))
        label = _normals(fit, camera.shift(left - radius, 0), options)
        value[:, band] = label.value[:, radius:-radius]
        valid[:, band] = label.valid[:, radius:-radius]
    return LabelArray(value, valid)


def predicted_normals(
    options: Options, predictions: Sequence[Tensor], camera: Tensor | None
) -> Target:
    """As `derive_normals`, of predicted depths, with gradients, and also where a fit is bad."""
    from labelgrid.pixel.plane_normals import plane_normals

    (depth,) = predictions
    assert camera is not None  # `needs_camera`
    return plane_normals(depth, camera, radius=options.radius, least=options.least)


def _normals(fit: PlaneFit, camera: Camera, options: Options) -> LabelArray:
    height, width = fit.valid.shape
    rows = np.arange(height)[:, None] - camera.cy
    columns = np.arange(width) - camera.cx
    right = -fit.across * camera.fx
    up = fit.down * camera.fy
    toward = fit.middle - fit.across * columns - fit.down * rows
    length = np.sqrt(right**2 + up**2 + toward**2)
    slope = math.tan(math.radians(options.residual)) * options.radius / max(camera.fx, camera.fy)
    valid = fit.valid & (length > 0) & (fit.residual <= slope * fit.middle)
    scale = valid / np.maximum(length, np.finfo(np.float64).tiny)
    value = np.empty((height, width, 3), np.float32)
    for channel, component in enumerate((right, up, toward)):  # NumPy is slow along an axis of 3
        value[..., channel] = component * scale
    return LabelArray(value, valid)


def _depth_map(labels: Sequence[LabelArray]) -> LabelArray:
    """The only label, which must be a depth map.

    Raises:
        LabelError: it is not.
    """
    if len(labels) != 1:
        raise LabelError(
            f"Normals follow from one label, of depth; there are {len(labels)}.",
            next_step="Give the labels of the relation's `reads`, in their order.",
        )
    (depth,) = labels
    if depth.value.shape != (*depth.size, 1):
        height, width = depth.size
        raise LabelError(
            f"A depth map is {height}x{width}x1 like its mask; this one is "
            f"{shape_text(depth.value)}.",
            next_step="Give the label of a task of kind depth.",
        )
    return depth


def _inverse_depth(depth: LabelArray) -> Floats:
    """One over the depth [h, w]; 0 where the depth is not valid.

    Raises:
        LabelError: a valid depth is not a number above 0.
    """
    metres = np.where(depth.valid, depth.value[..., 0], np.inf)
    wrong = depth.valid & ~((metres > 0) & (metres < np.inf))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise LabelError(
            f"The label has the valid depth {metres[row, column]:g} m in row {row}, column "
            f"{column}; a depth is above 0.",
            next_step="Make it not valid where no depth was measured.",
        )
    return np.reciprocal(metres, dtype=np.float64)


def step_of(depths: AnyFloats) -> float:
    """The step of stored depths; 0 for an unknown step.

    It is the smallest gap between depths, or, if a few depths lie between the steps, their lower
    quartile. Three in four gaps are whole multiples of it, of three gaps or more. A few walls at
    equal distances look the same.

    Example:
        >>> step_of(np.array([0.5, 2.0, 1.25, 4.25, 1.25]))
        0.75
        >>> step_of(np.array([1.0, 1.1, 1.25, 1.4]))
        0.0
    """
    gaps = np.diff(np.sort(depths, axis=None))
    gaps = gaps[gaps > 0]
    if gaps.size < 3:
        return 0.0
    for gap in np.partition(gaps, [0, gaps.size // 4])[[0, gaps.size // 4]]:
        multiples = gaps / gap
        if np.mean(np.abs(multiples - np.rint(multiples)) < 0.01) >= 0.75:
            return float(gap)
    return 0.0


def fit_planes(values: Floats, valid: Bools, options: Options) -> PlaneFit:
    """Fit a plane to the valid values [h, w] around each pixel, by least squares."""
    weight = valid.astype(np.float64)
    radius = options.radius
    count, n_u, n_v, n_uu, n_uv, n_vv = _moments(weight, radius, 2)
    total, w_u, w_v = _moments(values, radius, 1)
    (squares,) = _moments(values**2, radius, 0)
    # Each is `count` times a sum of products of deviations from the mean. Of offsets, they are
    # whole numbers, so that the determinant of points on a line is exactly 0.
    uu = count * n_uu - n_u**2
    uv = count * n_uv - n_u * n_v
    vv = count * n_vv - n_v**2
    uw = count * w_u - n_u * total
    vw = count * w_v - n_v * total
    ww = count * squares - total**2
    determinant = uu * vv - uv**2
    enough = count >= options.least * (2 * radius + 1) ** 2
    safe = np.maximum(determinant, 1)
    across = (uw * vv - vw * uv) / safe
    down = (vw * uu - uw * uv) / safe
    number = np.maximum(count, 1)
    middle = (total - across * n_u - down * n_v) / number
    rest = np.maximum(ww - across * uw - down * vw, 0)
    residual = np.sqrt(rest) / number
    fitted = valid & enough & (determinant > 0)
    return PlaneFit(across=across, down=down, middle=middle, residual=residual, valid=fitted)


def _moments(values: Floats, radius: int, degree: int) -> list[Floats]:
    """Sums over each window of values times products of their offsets, up to a degree.

    In the order 1, du, dv, du², du dv, dv². Values outside the image are 0.

    The image's columns are given to OpenCV as rows: across these, it adds the two values at the
    same distance first, so that the sums of mirrored values are exactly the mirrored sums, negated
    if the power of du is odd.
    """
    powers = [np.arange(-radius, radius + 1.0) ** power for power in range(degree + 1)]
    turned = np.ascontiguousarray(values.T)
    sums = []
    for total in range(degree + 1):
        for down in range(total + 1):
            kernels = (powers[down], powers[total - down])
            filtered = cv2.sepFilter2D(turned, cv2.CV_64F, *kernels, borderType=cv2.BORDER_CONSTANT)
            sums.append(filtered.T)
    return sums


def _rounded(column: float) -> float:
    return round(column / STEP) * STEP


def build(options: Options) -> Relation:
    """The relation from depth to normals."""

    def between(reads: Sequence[TaskDef], _gives: TaskDef) -> Derive:
        (depth,) = reads
        if getattr(depth.options, "disparity", False):
            raise RecipeError(
                f"Normals follow from depths; '{depth.name}' has disparities.",
                next_step="Take the relation `disparity_depth`, or a task of depths.",
            )
        return partial(derive_normals, options)

    return Relation(
        reads=("depth",),
        gives="normals",
        between=between,
        needs_camera=True,
        on_predictions=lambda _reads, _gives: partial(predicted_normals, options),
        margin=options.radius,
        tries=TRIES,
        unsure={"residual": 89.0},
        turns={"mirrored": (-1, 1, 1), "inverted": (-1, -1, 1)},
    )
