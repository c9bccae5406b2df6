"""Optical flow as a task: each pixel's motion to the next image, in pixels, x right and y down.

As a kind: "tests.plugins.optical_flow:build". Labels are `.npy` files [h, w, 2]; NaN where the
motion is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.errors import LabelError
from labelgrid.formats.arrays import check_any_valid, samples, save_array, shape_text
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.tasks.pictures import RGB
from labelgrid.tasks.placement import Labels, Placement
from labelgrid.tasks.task import NoOptions, Range, Spec, Task, TaskDef

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from labelgrid.basics.results import Result
    from labelgrid.pixel.target import Target


class Format:
    """Flow in a `.npy` file."""

    EXTENSIONS = (".npy",)
    CHANNELS = 2
    DTYPE = np.float32
    EXAMPLES = ((0.0, 0.0), (1.5, -2.0), (-0.25, 8.0))

    @dataclass(frozen=True)
    class Options(Form):
        """No options."""

    @staticmethod
    def read(path: Path, _options: Form) -> LabelArray:
        """Pixels to the right and down (float32, c = 2); NaN and infinite are not valid."""
        stored = samples(path)
        if stored.ndim != 3 or stored.shape[2] != 2 or stored.dtype.kind != "f":
            raise LabelError(
                f"A flow map is h x w x 2 numbers; this one is {shape_text(stored)}.",
                where=str(path),
            )
        valid = np.isfinite(stored).all(2)
        check_any_valid(valid, path, "NaN and infinite are not")
        return LabelArray(np.where(valid[..., None], stored, 0).astype(np.float32), valid)

    @staticmethod
    def write(path: Path, label: LabelArray, _options: Form) -> None:
        """Float32, NaN where not valid."""
        save_array(path, np.where(label.valid[..., None], label.value, np.nan).astype(np.float32))

    @staticmethod
    def describe(_options: Form) -> str:
        """Describe the content of a flow map."""
        return ".npy [h, w, 2]: pixels to the right and down to the next image. Not known: NaN."


def moved(
    value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement, _options: object
) -> Labels:
    """Mirror the motion with a flip, and scale it with a zoom.

    As for depth, the fit changes neither.
    """
    flow = geometry.nearest(value)
    x, y = geometry.turn(flow[..., 0], flow[..., 1])
    return np.stack([x, y], -1) * np.float32(geometry.zoom), geometry.nearest(valid)


def wheel(
    value: NDArray[Any], valid: NDArray[np.bool_], limits: Range | None, _options: object
) -> RGB:
    """The direction as a hue, the length as its strength."""
    length, angle = np.hypot(value[..., 0], value[..., 1]), np.arctan2(value[..., 1], value[..., 0])
    strength = np.clip(
        length / (limits[1] if limits else max(float(length.max(initial=0, where=valid)), 1e-6)),
        0,
        1,
    )
    hues = 0.5 + 0.5 * np.cos(angle[..., None] - np.arange(3) * 2 * np.pi / 3)
    return np.rint(255 * (1 - strength[..., None] * (1 - hues))).astype(np.uint8)


SPEC = Spec(
    kind="tests.plugins.optical_flow:build",
    codec="tests.plugins.optical_flow:Format",
    unit="px",
    cost=4.0,
    weight=1.0,
    headline="EPE",
    metrics={"EPE": NoOptions, "Fl": NoOptions},
    transform=moved,
    render=wheel,
)


class Moments:
    """Entropies of the two axes, as if they were independent, added: [b, 1, h, w], nats."""

    def __init__(self) -> None:
        from labelgrid.pixel.uncertainty import GaussianMoments

        self.across, self.down = GaussianMoments(), GaussianMoments()

    def update(self, prediction: Tensor) -> None:
        """Add a prediction [b, 2, h, w]."""
        self.across.update(prediction[:, :1])
        self.down.update(prediction[:, 1:])

    def uncertainty(self) -> Tensor:
        """The uncertainty of the predictions so far, [b, 1, h, w], in nats."""
        return self.across.uncertainty() + self.down.uncertainty()


class EndPoint:
    """The mean length of the error over the set's pixels (Otte & Nagel 1994)."""

    name, unit, scale = "EPE", "px", 1.0

    def __init__(self) -> None:
        self.total, self.pixels = 0.0, 0

    def update(self, prediction: Tensor, target: Target) -> None:
        """Count flows [b, 2, h, w]."""
        error = (prediction - target.safe()).square().sum(1, keepdim=True).sqrt()
        counted = self.counted(error, target)[target.valid]
        self.total += float(counted.double().sum())
        self.pixels += counted.numel()

    def counted(self, error: Tensor, target: Target) -> Tensor:
        """The error of each pixel, to be averaged."""
        return error

    def end_image(self) -> None:
        """Nothing to do."""

    def merge(self, other: EndPoint) -> None:
        """Add the other's sums."""
        self.total, self.pixels = self.total + other.total, self.pixels + other.pixels

    def compute(self) -> dict[str, Result]:
        """The figure; NaN over nothing."""
        from labelgrid.basics.results import Result

        mean = self.scale * self.total / self.pixels if self.pixels else float("nan")
        return {self.name: Result(self.name, mean, self.unit, "lower")}


class Outliers(EndPoint):
    """The share of pixels that are off by more than 3 pixels and 5 % (Menze & Geiger 2015, KITTI)."""

    name, unit, scale = "Fl", "%", 100.0

    def counted(self, error: Tensor, target: Target) -> Tensor:
        """1 where the error exceeds both bounds."""
        length = target.safe().square().sum(1, keepdim=True).sqrt()
        return (error > 3) & (error > 0.05 * length)


def build(task: TaskDef) -> Task:
    """Build the functions of flow maps: absolute error, Gaussian entropy of each axis, end-point error."""
    from labelgrid.pixel import disagreement, losses, prediction

    return Task(
        name=task.name,
        kind=task.kind,
        channels=2,
        label_channels=2,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=SPEC.headline,
        activate=prediction.pass_through,
        pixel_loss=losses.absolute_error,
        as_prediction=prediction.pass_through,
        to_target=prediction.value_target,
        moments=Moments,
        disagreement=disagreement.absolute_difference,
        metrics=task.chosen({"EPE": EndPoint, "Fl": Outliers}),
    )
