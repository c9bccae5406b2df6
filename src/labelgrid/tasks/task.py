"""What a task is: its kind's plain data (`Spec`), a user's definition of it, and its functions on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from labelgrid import plugins
from labelgrid.labels.codec import Form, LabelArray, codec, options_of
from labelgrid.labels.grid import TaskRow

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from labelgrid.pixel.metrics import Metric
    from labelgrid.pixel.target import Target
    from labelgrid.pixel.uncertainty import Moments

#: What flips, crops, zooms do to the values: nothing, depth / zoom, disparity * zoom, or turn the vectors.
Geometry = Literal["label", "depth", "disparity", "normals"]
#: How a map is shown: a colour a class, dark to bright, near to far, or the vector as RGB.
Colours = Literal["classes", "grey", "distance", "vector"]


@dataclass(frozen=True)
class Spec:
    """A kind of task as plain data.

    Args:
        codec: the label format, a module of `labelgrid.labels.formats`.
        unit: of the headline metric.
        cost: default price of one label, in any unit.
        weight: default weight of its loss (the survey's and PartAL's).
        headline: the metric that enters delta_mtl.
    """

    kind: str
    codec: str
    unit: str
    cost: float
    weight: float
    headline: str
    geometry: Geometry
    colours: Colours


@dataclass(frozen=True)
class TaskDef:
    """A task of a project: a name, a kind and the checked options of its label files. Loads no torch."""

    name: str
    kind: str
    cost: float
    options: Any
    spec: Spec = field(repr=False)

    @classmethod
    def of(cls, row: TaskRow) -> TaskDef:
        """The definition kept as a ledger row.

        Raises:
            PluginError: the kind is unknown. RecipeError: an option is unknown or wrong.
        """
        spec = spec_of(row.kind)
        options = options_of(spec.codec, row.options, f"task '{row.name}'")
        return cls(row.name, row.kind, row.cost, options, spec)

    @property
    def form(self) -> Form:
        """What of the options every format has."""
        form: Form = self.options
        return form

    @property
    def geometry(self) -> Geometry:
        """What geometry does to the values; a depth task may hold disparity."""
        return "disparity" if getattr(self.options, "disparity", False) else self.spec.geometry

    def read(self, path: Path) -> LabelArray:
        """The label in a file, checked, at its image's size."""
        return self.form.spread(codec(self.spec.codec).read(path, self.options))

    def write(self, path: Path, label: LabelArray) -> None:
        """Write the file of a label that has its image's size.

        Raises:
            LabelError: the disk refuses, or the task's labels are coarser and the image's sides no multiples of that.
        """
        codec(self.spec.codec).write(path, self.form.thinned(label), self.options)

    def describe(self) -> str:
        """What the task's label files hold, for those who make labels: one line, and lines for what it lists."""
        line, *rest = codec(self.spec.codec).describe(self.options).splitlines()
        if (step := self.form.coarser) > 1:
            line += f" Its sides are 1/{step} of the image's."
        return "\n".join([line, *rest])

    def build(self) -> Task:
        """The task's functions on tensors (imports torch)."""
        task: Task = plugins.resolve("tasks", self.kind)(self)
        return task


@dataclass(frozen=True)
class Task:
    """A task's functions on tensors. `raw` is a network's output for it, a *prediction* is `activate(raw)`.

    Args:
        channels: of raw outputs and predictions.
        label_channels: c of the targets' values.
        activate: raw [b, channels, h, w] -> prediction of the same shape.
        pixel_loss: raw and target of one size -> [b, 1, h, w], 0 where the target is not valid.
        as_prediction: label values [b, label_channels, h, w] (safe ones) -> the prediction that says just this.
        moments: starts the streamed statistics of many predictions of one input.
        disagreement: two predictions -> [b, 1, h, w] >= 0 (TCD).
        metric: starts the task's metric over a set.
    """

    name: str
    kind: str
    channels: int
    label_channels: int
    unit: str
    cost: float
    weight: float
    headline: str
    geometry: Geometry
    activate: Callable[[Tensor], Tensor]
    pixel_loss: Callable[[Tensor, Target], Tensor]
    as_prediction: Callable[[Tensor], Tensor]
    moments: Callable[[], Moments]
    disagreement: Callable[[Tensor, Tensor], Tensor]
    metric: Callable[[], Metric]

    def loss(self, raw: Tensor, target: Target) -> Tensor:
        """[b]: the mean of the pixel loss over each image's valid pixels, 0 for an image without any."""
        from labelgrid.pixel.target import per_image

        return per_image(self.pixel_loss(raw, target), target.valid)

    def uncertainty(self, samples: Tensor) -> Tensor:
        """[b, 1, h, w], nats, of predictions [d, b, c, h, w]: the moments of all of them at once."""
        moments = self.moments()
        for sample in samples:
            moments.update(sample)
        return moments.uncertainty()


def spec_of(kind: str) -> Spec:
    """The plain data of a kind, without torch."""
    if ":" in kind:
        path, _, _ = kind.partition(":")
        spec: Spec = plugins.resolve("tasks", f"{path}:SPEC")
        return spec
    return plugins.module("tasks", kind).SPEC


def definitions(rows: list[TaskRow] | tuple[TaskRow, ...]) -> dict[str, TaskDef]:
    """The definitions by name, in the ledger's order."""
    return {row.name: TaskDef.of(row) for row in rows}


def build_all(tasks: Mapping[str, TaskDef]) -> dict[str, Task]:
    """The functions of all tasks by name."""
    return {name: task.build() for name, task in tasks.items()}
