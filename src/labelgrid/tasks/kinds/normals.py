"""Surface normal estimation: unit vectors; x right, y up, z toward the camera.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Bytes, Floats
from labelgrid.basics.type_names import Json
from labelgrid.formats.codec import LabelArray, known_numbers
from labelgrid.formats.codecs.normals import other_axes
from labelgrid.tasks.agreement import angle_agreement, mean_direction
from labelgrid.tasks.checks import MANY, SHOWS_SOMETHING, LabelCheck
from labelgrid.tasks.figures import LabelFigure, LabelFigures
from labelgrid.tasks.outlines import direction_outline
from labelgrid.tasks.overview import Legend, Overview, Range, percent
from labelgrid.tasks.pictures import render_vectors
from labelgrid.tasks.placement import Labels, Placement
from labelgrid.tasks.scale import (
    Scale,
    direction_error,
    released_direction_error,
    shift_to_unit_range,
    unmirror_vectors,
)
from labelgrid.tasks.task import NoOptions, Spec, Task, TaskDef

#: Labels are thinned to at most so many rows and columns.
SIDE = 160
#: x and y change more with the wrong places than with their own by this in all. In NYUv2's and
#: rendered labels (8 to 20 of them) they change less with these, by 0.3 to 1.5.
EXCHANGED = 0.15
#: Surfaces face down by this mean y, and the more so the lower they are, by this correlation. The
#: median mean y of 20 right labels of NYUv2 is 0.06 to 0.2, the correlation -0.46 to -0.18.
DOWN = -0.03
LOWER = 0.1

#: The correlations of x with the column, y with the height, x with the height and y with the
#: column; and the mean y.
AxisCorrelations = NDArray[np.float64]
#: Components up to this say nothing about a slope: 8-bit files cannot hold 0.
FLAT = 0.05
#: Other axes explain a label if at most this share of its normals then faces away.
AWAY = 0.1
#: Mean components, and correlations of components with places, may differ by this between sets of
#: labels.
MEAN = 0.35
TURN = 0.45
#: What a legend of colours shows.
DIRECTIONS = {
    "toward the camera": (0, 0, 1),
    "right": (1, 0, 0),
    "left": (-1, 0, 0),
    "up": (0, 1, 0),
    "down": (0, -1, 0),
}
#: Why mean components may be those of no photographs.
CAUSE = (
    "Likely causes: the files have other axes (declare `axes`), or their normals are in world "
    "axes, not the camera's (turn them into each camera's)."
)


def axis_correlations(value: Array, valid: Bools, _options: object) -> AxisCorrelations | None:
    """The change of normals [h, w, 3] from place to place; None without a change."""
    step = -(-max(valid.shape) // SIDE)
    thin = (slice(step // 2, None, step),) * 2
    shown = valid[thin]
    rows, columns = np.nonzero(shown)
    x, y = value[thin][shown][:, :2].T.astype(np.float64)
    samples = np.stack([x, y, columns, -rows])
    if shown.sum() < 2 or samples.std(1).min() < 1e-3:
        return None
    table = np.corrcoef(samples)
    return np.array([table[0, 2], table[1, 3], table[0, 3], table[1, 2], y.mean()])


def judge_axes(measurements: Sequence[AxisCorrelations | None], options: Any) -> str:
    """Doubt normals whose x and y are exchanged, or whose y points down."""
    labels = [correlations for correlations in measurements if correlations is not None]
    if len(labels) < MANY:
        return ""
    x_right, y_up, x_up, y_right, mean = np.median(labels, 0).tolist()
    as_declared = abs(x_right) + abs(y_up)
    exchanged = abs(x_up) + abs(y_right)
    if exchanged > as_declared + EXCHANGED:
        axes = _renamed(
            options.axes, {"right": "up", "left": "down", "up": "right", "down": "left"}
        )
        return (
            f"x changes with the height ({x_up:.2f}) and y with the column ({y_right:.2f}) in "
            f"{len(labels)} labels, more than x with the column ({x_right:.2f}) and y with the "
            "height "
            f"({y_up:.2f}; medians of correlations): x and y look exchanged. If they are, declare "
            f'`axes = "{axes}"`.'
        )
    if mean < DOWN and y_up > LOWER:
        axes = _renamed(options.axes, {"up": "down", "down": "up"})
        return (
            f"surfaces face down in {len(labels)} labels, by a mean y of {mean:.2f}, and the more "
            f"so the lower they are (correlation {y_up:.2f}), as if floors hung: y looks flipped. "
            f'If it is, declare `axes = "{axes}"`.'
        )
    return ""


def _renamed(axes: str, names: dict[str, str]) -> str:
    """Rename the directions of axes.

    Example:
        >>> _renamed("x right, y up, z toward the camera", {"up": "down", "right": "left"})
        'x left, y down, z toward the camera'
    """
    parts = []
    for part in axes.split(", "):
        letter, _, direction = part.partition(" ")
        parts.append(f"{letter} {names.get(direction, direction)}")
    return ", ".join(parts)


AXES_CHECK = LabelCheck(axis_correlations, judge_axes, sampled=True)


def turn_normals(value: Array, valid: Bools, geometry: Placement, _options: object) -> Labels:
    """Interpolate the valid neighbours linearly and normalise.

    Where neighbours cancel out or are sparse, `Placement.nearest_valid` takes the nearest vector. A
    flip mirrors the vectors with the image; a zoom does not change vectors.
    """
    blend = geometry.linear(value, valid)
    length = np.sqrt(blend[..., 0] ** 2 + blend[..., 1] ** 2 + blend[..., 2] ** 2)
    void = length < 1e-3
    length[void] = 1
    for channel in range(3):  # NumPy is slow along an axis of three
        blend[..., channel] /= length
    placed, placed_valid = geometry.nearest_valid(value, valid)
    alone = void | (placed_valid & ~geometry.nearest(valid))
    if alone.any():
        blend[alone] = placed[alone]
    blend[..., 0], down = geometry.turn(blend[..., 0], -blend[..., 1])
    blend[..., 1] = -down
    return blend, placed_valid


def direction_figures(value: Array, valid: Bools, options: Any) -> LabelFigures:
    """The mean components, and the correlations of x with the column and y with the height.

    The walls of rooms face inward, things outward.
    """
    x_flipped = f'axes = "{_flipped(options.axes, "right", "left")}"'
    y_flipped = f'axes = "{_flipped(options.axes, "up", "down")}"'
    x, y, z = (known_numbers(plane, valid) for plane in _planes(value))
    numbers = {
        "the mean x (right)": LabelFigure(value=float(x.mean()), tolerance=MEAN),
        "the mean y (up)": LabelFigure(
            value=float(y.mean()),
            tolerance=MEAN,
            range=(-0.15, 1),
            cause=CAUSE,
            others={y_flipped: -float(y.mean())},
        ),
        "the mean z (toward the camera)": LabelFigure(
            value=float(z.mean()), tolerance=MEAN, range=(0.05, 1), cause=CAUSE
        ),
    }
    rows, columns = np.ogrid[: valid.shape[0], : valid.shape[1]]
    pairs = (
        ("x with the column", x, columns, x_flipped),
        ("y with the height", y, -rows, y_flipped),
    )
    for name, component, positions, flipped in pairs:
        position = known_numbers(np.broadcast_to(positions, valid.shape), valid)
        if min(float(component.std()), float(position.std())) > 1e-3:
            correlation = float(np.corrcoef(component, position)[0, 1])
            numbers[f"the correlation of {name}"] = LabelFigure(
                value=correlation, tolerance=TURN, others={flipped: -correlation}
            )
    return numbers


def _planes(value: Array) -> Sequence[Array]:
    """The three components [h, w] of vectors, apart: NumPy is slow along an axis of three."""
    import cv2  # imported late: commands that only need a kind's options start faster

    return cv2.split(np.asarray(value))


def _flipped(axes: str, one: str, other: str) -> str:
    """Exchange the sides of an axis.

    Example:
        >>> _flipped("x right, y down, z away from the camera", "up", "down")
        'x right, y up, z away from the camera'
    """
    old, new = (one, other) if f" {one}" in axes else (other, one)
    return axes.replace(f" {old}", f" {new}")


def normals_slope(value: Array, valid: Bools, _options: object) -> Array:
    """The sign of x and y over z: a surface that faces right recedes to the right."""
    vector = np.where((np.abs(value) > FLAT) & valid[..., None], np.sign(value), 0)
    return vector[..., :2] * vector[..., 2:]


def other_normals_slopes(value: Array, valid: Bools, options: Any) -> Mapping[str, Array]:
    """The slopes with other axes, if nearly all normals then face the camera."""
    planes = []
    for channel in range(3):
        plane = value[..., channel]
        signs = np.where((np.abs(plane) > FLAT) & valid, np.sign(plane), 0)
        planes.append(signs.astype(np.int8))
    counts = [(np.count_nonzero(plane < 0), np.count_nonzero(plane)) for plane in planes]
    slopes = {}
    for axes, turned in other_axes(options.axes).items():
        channel, sign = turned[2]
        below, nonzero = counts[channel]
        away = below if sign > 0 else nonzero - below
        if away <= AWAY * nonzero:
            x, y, z = (side * planes[index] for index, side in turned)
            slopes[f'axes = "{axes}"'] = np.stack([x * z, y * z], axis=-1)
    return slopes


class DirectionOverview(Overview):
    """Normals: the mean direction, and the share of pixels without a direction."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.total = np.zeros(3)
        self.halves = np.zeros((2, 2))
        self.single: set[bytes] = set()

    def add(self, image_id: str, label: LabelArray) -> None:
        """Add up the components, also of the left and the right half of the image."""
        super().add(image_id, label)
        if label.valid.any():
            self.single.add(SHOWS_SOMETHING.of(label, None))
        judged = label.sample()
        weight = int(np.count_nonzero(label.valid)) / max(int(np.count_nonzero(judged.valid)), 1)
        planes = _planes(judged.value)
        middle = judged.size[1] // 2
        for half, columns in enumerate((slice(middle), slice(middle, None))):
            values = known_numbers(planes[0][:, columns], judged.valid[:, columns])
            sums = np.array([values.sum(dtype=np.float64), values.size])
            self.halves[half] += weight * sums
        for channel, plane in enumerate(planes):
            values = known_numbers(plane, judged.valid)
            self.total[channel] += weight * values.sum(dtype=np.float64)

    @property
    def mean(self) -> list[float]:
        """The mean of x, y and z; shorter than 1, since directions differ."""
        return [float(total) for total in self.total / max(self.valid, 1)]

    def text(self) -> str:
        """The mean direction, and the share without."""
        x, y, z = (f"{value:z.2f}" for value in self.mean)
        left, right = (f"{total / max(count, 1):z.2f}" for total, count in self.halves)
        return (
            f"mean direction: right {x} (left half {left}, right half {right}), up {y}, toward the "
            f"camera {z}; "
            f"{percent(1 - self.share_valid)} of pixels without"
        )

    def values(self) -> Json:
        """The mean components, and the share without."""
        x, y, z = self.mean
        return {"right": x, "up": y, "toward_camera": z, "without": 1 - self.share_valid}

    def remarks(self) -> Iterator[str]:
        """Say that all pixels have the same direction."""
        if self.valid > 1 and len(self.single) == 1 and b"" not in self.single:
            yield "all pixels of the new labels have one direction."

    def legend(self, limits: Range | None) -> Legend:
        """As `Overview.legend`: the colours of a ball, and of five directions."""
        del limits
        swatches = []
        for name, direction in DIRECTIONS.items():
            red, green, blue = _colour(np.array(direction, np.float64))
            swatches.append(((int(red), int(green), int(blue)), name))
        return Legend(swatches=swatches, scale=_ball(), ends=("a ball looks like this:", ""))


def _colour(vectors: Floats) -> Bytes:
    return render_vectors(vectors, np.ones(vectors.shape[:-1], np.bool_), None, None)


def _ball() -> Bytes:
    steps = np.linspace(-1, 1, 72)
    x, y = np.meshgrid(steps, -steps)
    inside = x**2 + y**2 <= 1
    z = np.sqrt(np.where(inside, 1 - x**2 - y**2, 0))
    return np.where(inside[..., None], _colour(np.stack([x, y, z], -1)), 255).astype(np.uint8)


def meaning(options: Any) -> str:
    """Describe the channels of a prediction, with the axes."""
    return "the unit vector of the surface normal: x right, y up, z toward the camera"


SPEC = Spec(
    kind="normals",
    codec="normals",
    unit="degree",
    cost=1.0,
    weight=10.0,
    headline="mErr",
    meaning=meaning,
    metrics={"mErr": NoOptions},
    transform=turn_normals,
    render=render_vectors,
    figures=direction_figures,
    outline=direction_outline,
    checks=(SHOWS_SOMETHING, AXES_CHECK),
    overview=DirectionOverview,
    slope=normals_slope,
    other_slopes=other_normals_slopes,
    agreement=angle_agreement,
    constants=mean_direction,
    other_figures={f"below {degrees}": "mErr" for degrees in ("11.25", "22.5", "30")},
)


def build(task: TaskDef) -> Task:
    """The functions of a normal map: unit length, L1 or cosine loss, entropy, mean angle.

    The entropy is that of the full covariance.
    """
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    return Task(
        **task.plain_fields,
        channels=3,
        label_channels=3,
        activate=prediction.unit_vectors,
        pixel_loss=losses.unit_vector_l1,
        as_prediction=prediction.pass_through,
        to_target=prediction.vector_target,
        moments=uncertainty.VectorMoments,
        disagreement=disagreement.cosine_distance,
        metrics=task.chosen({"mErr": metrics.NormalsMetric}),
        from_mean=prediction.unit_mean,
        other_losses={"cosine": losses.unit_vector_cosine},
        scale=Scale(
            scaled=shift_to_unit_range,
            neutral=0.5,
            mirrored=unmirror_vectors,
            error=direction_error,
            released_error=released_direction_error,
        ),
    )
