"""What a task is: its kind's plain data (`Spec`), a user's definition of it, and its functions on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelgrid import plugins
from labelgrid.config import parse
from labelgrid.errors import RecipeError
from labelgrid.labels.codec import Form, LabelArray, codec, options_of
from labelgrid.labels.grid import TaskRow
from labelgrid.tasks.placement import Placement

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from labelgrid.pixel.metrics import Metric
    from labelgrid.pixel.target import Target
    from labelgrid.pixel.uncertainty import Moments

#: Values [h, w, c], valid [h, w], where the view lies, the label files' options -> the same two on the canvas.
Transform = Callable[[NDArray[Any], NDArray[np.bool_], Placement, Any], tuple[NDArray[Any], NDArray[np.bool_]]]
#: Values [h, w, c] (0 where not valid), valid [h, w], ends of the scale, the label files' options -> RGB [h, w, 3].
Render = Callable[[NDArray[Any], NDArray[np.bool_], "Range | None", Any], NDArray[np.uint8]]
#: The values at the ends of a picture's scale.
Range = tuple[float, float]


@dataclass(frozen=True)
class NoOptions:
    """The options of a metric that has none."""


@dataclass(frozen=True)
class Spec:
    """A kind of task as plain data, and its functions on NumPy arrays; no torch is loaded for it.

    Args:
        codec: the label format: a module of `labelgrid.labels.formats`, or `"package.module:object"`.
        unit: of the headline metric.
        cost: default price of one label, in any unit.
        weight: default weight of its loss (the survey's and PartAL's).
        headline: the metric that enters delta_mtl.
        metrics: the kind's metrics by name, each with the dataclass of its options. A metric is named after the first
            of its figures; the headline's counts unless a task says otherwise.
        transform: brings label values to a view: where they lie, and what a flip or a zoom does to them.
        render: how a map is shown to people; decides about nothing else.
    """

    kind: str
    codec: str
    unit: str
    cost: float
    weight: float
    headline: str
    metrics: Mapping[str, type[Any]]
    transform: Transform
    render: Render


@dataclass(frozen=True)
class TaskDef:
    """A task of a project: a name, a kind and the checked options of its label files. Loads no torch.

    Args:
        metrics: the options of the metrics that are measured, by name.
    """

    name: str
    kind: str
    cost: float
    options: Any
    spec: Spec = field(repr=False)
    metrics: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, row: TaskRow) -> TaskDef:
        """The definition kept as a ledger row.

        Raises:
            PluginError: the kind is unknown. RecipeError: an option or a metric is unknown or wrong.
        """
        spec, where = spec_of(row.kind), f"task '{row.name}'"
        given = dict(row.options)
        metrics = _chosen(spec, given.pop("metrics", {spec.headline: {}}), where)
        return cls(row.name, row.kind, row.cost, options_of(spec.codec, given, where), spec, metrics)

    @property
    def form(self) -> Form:
        """What of the options every format has."""
        form: Form = self.options
        return form

    def transform(
        self, value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Label values [h, w, c] and valid [h, w] as a view of the image shows them."""
        return self.spec.transform(value, valid, geometry, self.options)

    def render(self, value: NDArray[Any], valid: NDArray[np.bool_], limits: Range | None = None) -> NDArray[np.uint8]:
        """Values [h, w, c], 0 where not valid [h, w], as a picture [h, w, 3]; `limits` fixes the ends of its scale."""
        return self.spec.render(value, valid, limits, self.options)

    def read(self, path: Path) -> LabelArray:
        """The label in a file, checked, at its image's size."""
        return self.form.upsample(codec(self.spec.codec).read(path, self.options))

    def write(self, path: Path, label: LabelArray) -> None:
        """Write the file of a label that has its image's size.

        Raises:
            LabelError: the disk refuses, or the task's labels have a stride that does not divide the image's sides.
        """
        codec(self.spec.codec).write(path, self.form.downsample(label), self.options)

    def describe(self) -> str:
        """What the task's label files hold, for those who make labels: one line, and lines for what it lists."""
        line, *rest = codec(self.spec.codec).describe(self.options).splitlines()
        if (step := self.form.stride) > 1:
            line += f" Its sides are 1/{step} of the image's."
        return "\n".join([line, *rest])

    def chosen(self, metrics: Mapping[str, Callable[..., Metric]]) -> dict[str, Callable[[], Metric]]:
        """Of a kind's metrics, made from their options, those that are measured."""
        return {name: partial(metrics[name], **vars(options)) for name, options in self.metrics.items()}

    def build(self) -> Task:
        """The task's functions on tensors (imports torch)."""
        task: Task = plugins.resolve("tasks", self.kind)(self)
        return task


def _unchanged(values: Tensor) -> Tensor:
    return values


@dataclass(frozen=True)
class Task:
    """A task's functions on tensors. `raw` is a network's output for it, a *prediction* is `activate(raw)`.

    Args:
        channels: of raw outputs and predictions.
        label_channels: c of the targets' values.
        activate: raw [b, channels, h, w] -> prediction of the same shape.
        pixel_loss: raw and target of one size -> [b, 1, h, w], 0 where the target is not valid.
        as_prediction: label values [b, label_channels, h, w] (safe ones) -> the prediction that says just this.
        to_target: prediction -> the labels that it amounts to, valid where it says something: pseudo- and pre-labels.
        moments: starts the streamed statistics of many predictions of one input.
        disagreement: two predictions -> [b, 1, h, w] >= 0 (TCD).
        metrics: start the metrics that are measured over a set, by name; `TaskDef.chosen` picks them.
        from_mean: the mean of predictions -> the prediction it stands for; mean vectors are made unit length again.
    """

    name: str
    kind: str
    channels: int
    label_channels: int
    unit: str
    cost: float
    weight: float
    headline: str
    activate: Callable[[Tensor], Tensor]
    pixel_loss: Callable[[Tensor, Target], Tensor]
    as_prediction: Callable[[Tensor], Tensor]
    to_target: Callable[[Tensor], Target]
    moments: Callable[[], Moments]
    disagreement: Callable[[Tensor, Tensor], Tensor]
    metrics: Mapping[str, Callable[[], Metric]]
    from_mean: Callable[[Tensor], Tensor] = _unchanged

    def metric(self) -> Metric:
        """Starts the task's metrics over a set, as one."""
        from labelgrid.pixel.metric_set import MetricSet

        return MetricSet([start() for start in self.metrics.values()])

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


def _chosen(spec: Spec, given: object, where: str) -> dict[str, Any]:
    """The checked options of the metrics that a task names, the headline's first.

    Raises:
        RecipeError: the kind has no such metric, it has no such option, or the headline's is not among them.
    """
    if not isinstance(given, Mapping) or spec.headline not in given or given.keys() - spec.metrics.keys():
        raise RecipeError(
            f"metrics is {given!r}; it is a table of metrics and their options, '{spec.headline}' among them.",
            where=where,
            next_step=f"The kind has: {', '.join(spec.metrics)}.",
        )
    return {
        name: parse(spec.metrics[name], given[name], f"{where}, metric '{name}'")
        for name in spec.metrics
        if name in given
    }


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
