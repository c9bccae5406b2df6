"""Depth estimation: metres along the camera axis, or a disparity, which grows toward the camera.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.codec import LabelArray, known_numbers
from labelgrid.formats.codecs import depth as files
from labelgrid.formats.unmeasured import LARGEST, lone_largest
from labelgrid.tasks.agreement import distance_agreement, median_value
from labelgrid.tasks.figures import LabelFigure, LabelFigures, distance_slope
from labelgrid.tasks.outlines import distance_outline
from labelgrid.tasks.overview import Legend, LogHistogram, Overview, Range, percent, two_digits
from labelgrid.tasks.pictures import RGB, distance_scale, render_distances
from labelgrid.tasks.placement import Labels, Placement
from labelgrid.tasks.planes import PLANES_CHECK
from labelgrid.tasks.scale import Scale, divide_by_maximum, zoom_disparities, zoom_distances
from labelgrid.tasks.stored_distances import CUT_OFF, STORED_NUMBERS
from labelgrid.tasks.task import Spec, Task, TaskDef

#: The median depth of a label in any scene, from a hand's length to a view over a valley.
METRES = (0.05, 200.0)
#: Median depths of two sets of labels may differ by this factor. Disparities may differ by less:
#: files of 16 bits usually hold 256 steps for each of its units, and are read as 0.256 of it if the
#: task has no `scale`.
FACTOR = 3.0
FACTOR_DISPARITY = 3.0
#: So may what is near in them, which differs less from scene to scene. Read as millimetres, depths
#: of KITTI's 1/256 shrink to 0.256 of theirs: found beside 20 labels in 84 to 99 % of batches of 4
#: to 20 frames in a row of NYUv2 (by medians alone in 61 to 98 %), and no right batch of 2,400.
NEAR = 0.05
FACTOR_NEAR = 2.5
#: The scale, in metres, of whole numbers without a declared one.
MILLIMETRE = 0.001
#: No view of a camera reaches so many metres.
FARTHEST = 1e5
#: The unit of the numbers of a label is looked for in about so many of them.
SOME = 4096
#: Fewer labels that are constant, or end at one value, may be right.
MANY = 8
#: A largest value that this share of a label's pixels has may be where depths were cut off: it is
#: under 0.006 in every frame of NYUv2, and half of the pixels where these are cut off at 2.55 m.
AT_END = 0.05


@dataclass(frozen=True)
class Errors:
    """The options of RMSE and absErr.

    Args:
        least: predictions are raised to at least this value first (the survey's rule for
            predictions <= 0).
    """

    least: float = 1e-9


def zoom_depth(value: Array, valid: Bools, geometry: Placement, options: files.Options) -> Labels:
    """Divide depth by the zoom, or multiply disparity: objects that look larger are nearer.

    Resizing alone changes neither. Sparse measurements are kept (`Placement.nearest_valid`).
    """
    placed, placed_valid = geometry.nearest_valid(value, valid)
    zoom = np.float32(geometry.zoom)
    return (placed * zoom if options.disparity else placed / zoom), placed_valid


def render_depth(value: Array, valid: Bools, limits: Range | None, options: files.Options) -> RGB:
    """Render near pixels bright and far pixels dark."""
    return render_distances(value[..., 0], valid, limits, options.disparity)


def depth_figures(value: Array, valid: Bools, options: files.Options) -> LabelFigures:
    """The median depth and the depth of near pixels, or the median disparity.

    It is about 1000 times too small or too large if metres and millimetres are confused.
    """
    numbers = known_numbers(value[..., 0], valid)
    near, middle = np.quantile(numbers, (NEAR, 0.5)).tolist()
    if options.disparity:
        disparity = LabelFigure(value=middle, tolerance=FACTOR_DISPARITY, ratio=True)
        return {"the median disparity": disparity}
    step = options.step or _likely_step(numbers)
    scales = {}
    for name, scale in files.SCALES.items():
        if scale != step:
            scales[f"scale = {name}"] = scale
    median = LabelFigure(
        value=middle,
        tolerance=FACTOR,
        ratio=True,
        range=METRES,
        unit=" m",
        others={option: middle * scale / step for option, scale in scales.items()},
    )
    nearest = LabelFigure(
        value=near,
        tolerance=FACTOR_NEAR,
        ratio=True,
        unit=" m",
        others={option: near * scale / step for option, scale in scales.items()},
    )
    return {"the median depth": median, "the depth of the nearest 5 %": nearest}


def _likely_step(metres: Array) -> float:
    """The scale of a file without a declared scale: a PNG has whole millimetres."""
    steps = metres.astype(np.float64) * 1000
    if steps.max() < 65536 and np.abs(steps - np.rint(steps)).max() < 0.01:
        return MILLIMETRE
    return 1.0


def _ends(label: LabelArray) -> tuple[float, float]:
    """The smallest and the largest number of all valid pixels of a label."""
    import cv2  # imported late: commands that only need a kind's options start faster

    plane = np.ascontiguousarray(label.value[..., 0])
    lowest, highest, _, _ = cv2.minMaxLoc(plane, label.valid.view(np.uint8))
    return float(lowest), float(highest)


def _is_largest(stored: float) -> bool:
    """Whether a number is the largest of a type, up to the rounding of floating-point numbers."""
    number = round(stored)
    return number in LARGEST and bool(np.isclose(stored, number, rtol=1e-5))


def depth_slope(value: Array, valid: Bools, options: files.Options) -> Array:
    """The relative change of the distance; a disparity shrinks as the distance grows."""
    slope = distance_slope(value[..., 0], valid)
    return -slope if options.disparity else slope


class DistanceOverview(Overview):
    """Distances or disparities: the median, and the range of 5 to 95 % of the measured pixels."""

    def __init__(self, options: files.Options) -> None:
        super().__init__(options)
        self.histogram = LogHistogram()
        self.lowest = np.inf
        self.highest = -np.inf
        self.step = 0.0
        self.constant: list[str] = []
        self.too_far: list[str] = []
        self.ends: dict[float, list[float]] = {}
        self.unmeasured: dict[int, list[str]] = {}

    @property
    def unit(self) -> str:
        """Metres, or nothing after a disparity or the numbers of a supplier."""
        return "" if self.options.disparity or self.unlike else " m"

    def add(self, image_id: str, label: LabelArray) -> None:
        """Count the distances of the label, and note an unusual content."""
        super().add(image_id, label)
        if not label.valid.any():
            return
        judged = label.sample()
        values = known_numbers(judged.value[..., 0], judged.valid)
        self.histogram.add(values)
        step = _likely_step(values[:: 1 + values.size // SOME])
        self.step = max(self.step, step)
        lowest, highest = _ends(label)
        self.lowest = min(self.lowest, lowest)
        self.highest = max(self.highest, highest)
        if lowest == highest and np.count_nonzero(label.valid) > 1:
            self.constant.append(image_id)
            return
        if highest > FARTHEST and not self.options.disparity:
            self.too_far.append(image_id)
        self._note_unmeasured(image_id, label, highest)
        at_end = np.count_nonzero(values == values.dtype.type(highest)) / values.size
        self.ends.setdefault(highest, []).append(at_end)

    def _note_unmeasured(self, image_id: str, label: LabelArray, highest: float) -> None:
        """Note a label whose largest number likely means "not measured"."""
        steps = [self.options.step] if self.options.step else [MILLIMETRE, 1.0]
        if not any(_is_largest(highest / step) for step in steps):
            return
        values = known_numbers(label.value[..., 0], label.valid)
        lone = lone_largest(values)
        if lone is None:
            return
        stored = lone.number / (self.options.step or _likely_step(values))
        if _is_largest(stored):
            self.unmeasured.setdefault(round(stored), []).append(image_id)

    def text(self) -> str:
        """The median, the range and the measured share."""
        low, middle, high = map(two_digits, self.histogram.quantiles((0.05, 0.5, 0.95)))
        measured = percent(self.share_valid)
        unit = f", no unit: {self.unlike}" if self.unlike else self._reading()
        return (
            f"median {middle}{self.unit} (5–95 %: {low}–{high}){unit}, {measured} of pixels "
            "measured"
        )

    def _reading(self) -> str:
        if self.options.disparity or self.options.step or self.step != MILLIMETRE:
            return ""
        (middle,) = self.histogram.quantiles((0.5,))
        others = {"centimetres": 0.01, "1/256 m": 1 / 256}
        texts = []
        for name, scale in others.items():
            texts.append(f"{name}: {two_digits(middle * scale / MILLIMETRE)} m")
        return f", read as millimetres ({', '.join(texts)})"

    def values(self) -> Json:
        """The quantiles, the range, the unit and the measured share."""
        low, middle, high = self.histogram.quantiles((0.05, 0.5, 0.95))
        return {
            "median": middle,
            "5 %": low,
            "95 %": high,
            "lowest": self.lowest,
            "highest": self.highest,
            "unit": self.unit.strip(),
            "measured": self.share_valid,
        }

    def remarks(self) -> Iterator[str]:
        """Remark constant labels, and many labels with the same end."""
        if self.constant:
            yield f"{self._constant()}."
        end, fractions = max(self.ends.items(), key=lambda item: len(item[1]), default=(0.0, []))
        if self.unmeasured:  # doubted
            return
        if (
            len(fractions) >= MANY
            and 2 * len(fractions) > self.labels
            and median(fractions) > AT_END
        ):
            yield (
                f"{len(fractions):,} of {count_text(self.labels, 'new label')} end at "
                f"{end:.4g}{self.unit}, which {percent(median(fractions))} of their pixels hold: "
                "if larger values were cut off there, store such pixels as 0, which is not "
                "measured."
            )

    def doubts(self) -> Iterator[str]:
        """Doubt constant labels, distances that no camera sees, and numbers for 'not measured'."""
        if self.labels == len(self.constant) >= MANY:
            yield f"{self._constant()}: no scene looks so. Export them again."
        if self.too_far:
            yield (
                f"{len(self.too_far):,} of {count_text(self.labels, 'new label')} hold more than "
                f"{two_digits(FARTHEST)} m, up to {self.highest:.3g} m: "
                f"{join_names(self.too_far, 3)}. Store such pixels as 0, which is not measured: "
                "one of them can spoil a training. Or check the unit."
            )

        for number, images in self.unmeasured.items():
            yield (
                f"{len(images):,} of {count_text(self.labels, 'new label')} hold {number}, "
                f"{LARGEST[number]}, and nothing from half of it on: {join_names(images, 3)}. It "
                f"likely means 'not measured': declare `ignore = [{number}]`."
            )

    def _constant(self) -> str:
        return (
            f"{len(self.constant):,} of {count_text(self.labels, 'new label')} hold one value "
            f"everywhere: {join_names(self.constant, 3)}"
        )

    def limits(self) -> Range:
        """As `Overview.limits`: of near and far."""
        low, high = self.histogram.quantiles((0.02, 0.98))
        return (high, low) if self.options.disparity != self.inverted else (low, high)

    def legend(self, limits: Range | None) -> Legend:
        """The scale of colours from near to far."""
        near, far = limits or self.limits()
        ends = (f"near: {two_digits(near)}{self.unit}", f"far: {two_digits(far)}{self.unit}")
        return Legend(scale=distance_scale(), ends=ends)


def meaning(options: files.Options) -> str:
    """Describe the channel of a prediction, with its unit."""
    if options.disparity:
        return "the disparity, in the unit of the labels"
    return "the depth along the camera's axis, in metres"


def in_metres(options: files.Options) -> bool:
    """Whether labels are depths, not disparities."""
    return not options.disparity


SPEC = Spec(
    kind="depth",
    codec="depth",
    unit="m",
    cost=1.0,
    weight=1.0,
    headline="RMSE",
    meaning=meaning,
    metrics={"RMSE": Errors},
    transform=zoom_depth,
    render=render_depth,
    figures=depth_figures,
    outline=distance_outline,
    checks=(STORED_NUMBERS, CUT_OFF, PLANES_CHECK),
    overview=DistanceOverview,
    slope=depth_slope,
    agreement=distance_agreement,
    constants=median_value,
    other_figures={"absErr": "RMSE"},
    up_to=("scale", "scale-shift"),
    in_metres=in_metres,
)


def build(task: TaskDef) -> Task:
    """The functions of a depth map: raw values, absolute error, Gaussian entropy, RMSE.

    A disparity has no unit.
    """
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    fields = task.plain_fields
    zoomed = zoom_distances
    if task.options.disparity:
        fields["unit"] = ""
        zoomed = zoom_disparities
    return Task(
        **fields,
        channels=1,
        label_channels=1,
        activate=prediction.pass_through,
        pixel_loss=losses.absolute_error,
        as_prediction=prediction.pass_through,
        to_target=prediction.positive_target,
        moments=uncertainty.GaussianMoments,
        disagreement=disagreement.absolute_difference,
        metrics=task.chosen({"RMSE": partial(metrics.DepthMetric, fields["unit"])}),
        scale=Scale(scaled=divide_by_maximum, zoomed=zoomed, unbounded=True),
    )
