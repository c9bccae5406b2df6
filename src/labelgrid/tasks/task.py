"""Defines tasks.

`Spec` holds a kind's plain data, `TaskDef` a user's definition, `Task` the functions on tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from labelgrid.basics import plugins
from labelgrid.basics.array_types import Array, Bools, Bytes, Floats32
from labelgrid.basics.config import parse
from labelgrid.basics.errors import PluginError, RecipeError
from labelgrid.basics.results import Result
from labelgrid.basics.type_names import Json, Names, Size, Texts, Values
from labelgrid.formats.codec import Codec, Form, LabelArray, codec, finite_pixels, options_of
from labelgrid.formats.regions import RegionMap
from labelgrid.images.opening import TIMES, label_of
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.agreement import Agreement, Constants, no_agreement, no_constants
from labelgrid.tasks.checks import LabelCheck
from labelgrid.tasks.class_colours import RGB, class_colours, is_background, name_order
from labelgrid.tasks.figures import LabelFigures, no_figures, no_other_slopes, no_slope
from labelgrid.tasks.outlines import no_outline
from labelgrid.tasks.overview import Overview, Range
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.scale import (
    Scale,
    keep_values,
    probability_error,
    released_probability_error,
)

#: A label that is resampled may have so many times the pixels of its image.
RESAMPLED = 64

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from labelgrid.pixel.metrics import Metric
    from labelgrid.pixel.target import Target, TensorMap
    from labelgrid.pixel.uncertainty import Moments
    from labelgrid.tasks.outlines import Outline

#: Values [h, w, c], valid [h, w], the view's placement, the label files' options -> values and
#: valid on the canvas.
Transform = Callable[[Array, Bools, Placement, Any], tuple[Array, Bools]]
#: Values [h, w, c] (0 where not valid), valid [h, w], ends of the scale, the label files' options
#: -> RGB [h, w, 3].
Render = Callable[[Array, Bools, Range | None, Any], Bytes]
#: Values [h, w, c], valid [h, w], the label files' options -> the label's figures by their names.
Figures = Callable[[Array, Bools, Any], LabelFigures]
#: Values [h, w, c], valid [h, w], the label files' options -> how surfaces recede to the right and
#: upward [h, w, 2].
Slope = Callable[[Array, Bools, Any], Array | None]
OtherSlopes = Callable[[Array, Bools, Any], Mapping[str, Array]]
if TYPE_CHECKING:
    PixelLoss = Callable[[Tensor, Target], Tensor]
    Disagreement = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class NoOptions:
    """The options of a metric that has none."""


def _no_meaning(options: Any) -> str:
    return ""


def _never(options: Any) -> bool:
    return False


def _no_keys(options: Any) -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A kind of task: plain data, and functions on NumPy arrays. Loads no torch.

    Args:
        kind: the kind's name.
        codec: the label format: a module of `labelgrid.formats.codecs`, or
            `"package.module:object"`.
        unit: the unit of the headline metric.
        cost: the default cost of one label, in any unit.
        weight: the default weight of its loss (the survey's and PartAL's).
        headline: the metric that delta_mtl uses, unless a task names another.
        metrics: the kind's metrics by name, each with the dataclass of its options. A metric is
            named after the first of its figures. By default a task measures only the metric that
            its headline belongs to.
        transform: moves label values to a view, and applies what a flip or a zoom does to them.
        render: draws a map for people; nothing else depends on it. None: values are the numbers of
            classes, each of which has its colour.
        figures: numbers of a label that an import compares with those of other labels of the task;
            default: none.
        fine_figures: further figures, which need all pixels of a label; `figures` take a part of
            them. Default: none.
        slope: how the surface recedes to the right and upward; an import compares its sign (0:
            unknown) with the sign in the image's other labels. Default: None, which says nothing.
        other_slopes: the slope that another option of the task would give, by that option as
            written in a file of tasks. Default: none.
        outline: where a label changes; an import compares it with the edges of the image. Default:
            None, which says nothing.
        checks: what an import measures of each label, and judges over many. Default: nothing.
        overview: gathers numbers of the labels of an import, and the legend of their pictures; the
            label files' options -> an `Overview`. Default: an import shows counts alone.
        other_figures: further figures that can be a headline -> the metric for each.
        up_to: what suppliers' maps of the kind may be true up to: "scale" for relative depth,
            "scale-shift" for relative inverse depth. Default: nothing.
        agreement: how well a label agrees with the true one, as results; the trust in a relation
            follows from the first. Default: none, so that it cannot be measured.
        constants: the best labels that say the same everywhere; a supplier is to be better than
            these. Default: none.
        meaning: the channels of a prediction with their unit, for programs that read predictions; a
            function of the label files' options. Default: "".
        in_metres: whether labels are depths in metres, of which a published protocol may count a
            range; the label files' options -> yes or no. Default: no.
        regions: by which regions of an image labels can be bought: "any"; "blind", those whose
            borders do not follow the image; or "none". Default: none.
        keys: the words that answer for a whole region at once, with the number of the label; the
            label files' options -> numbers by words. Default: none.
    """

    kind: str
    codec: str
    unit: str
    cost: float
    weight: float
    headline: str
    metrics: Mapping[str, type[Any]]
    transform: Transform
    render: Render | None
    figures: Figures = no_figures
    fine_figures: Figures = no_figures
    slope: Slope = no_slope
    other_slopes: OtherSlopes = no_other_slopes
    outline: Outline = no_outline
    checks: tuple[LabelCheck, ...] = ()
    overview: Callable[[Any], Overview] = Overview
    other_figures: Texts = field(default_factory=dict)
    up_to: Names = ()
    agreement: Agreement = no_agreement
    constants: Constants = no_constants
    meaning: Callable[[Any], str] = _no_meaning
    in_metres: Callable[[Any], bool] = _never
    regions: Literal["any", "blind", "none"] = "none"
    keys: Callable[[Any], Mapping[str, int]] = _no_keys


@dataclass(frozen=True, kw_only=True)
class TaskDef:
    """A task of a project: a name, a kind and the checked options of its label files.

    Loads no torch.

    Args:
        metrics: the options of the metrics that are measured, by name.
        headline: the figure by which delta_mtl compares the task.
        class_order: the names of all classes of the project, in the order of their first
            appearance; only the colours depend on it.
    """

    name: str
    kind: str
    cost: float
    options: Any
    spec: Spec = field(repr=False)
    metrics: Values = field(default_factory=dict, repr=False)
    headline: str = field(default="", repr=False)
    class_order: Names = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, row: TaskRow) -> TaskDef:
        """The definition that a ledger row holds.

        Raises:
            PluginError: the kind is unknown.
            RecipeError: an option or a metric is unknown or wrong.
        """
        spec = spec_of(row.kind)
        where = f"task '{row.name}'"
        options = dict(row.options)
        headline = options.pop("headline", spec.headline)
        metrics = _metric_options(spec, headline, options.pop("metrics", None), where)
        return cls(
            name=row.name,
            kind=row.kind,
            cost=row.cost,
            options=options_of(spec.codec, options, where),
            spec=spec,
            metrics=metrics,
            headline=headline,
        )

    @property
    def form(self) -> Form:
        """The options that every label format has."""
        return self.options

    @property
    def classes(self) -> Names:
        """The names of the classes in the label files; empty without classes."""
        return getattr(self.options, "classes", ())

    @property
    def grows_toward_camera(self) -> bool:
        """Whether larger numbers of a label are nearer, as disparities are."""
        return bool(getattr(self.options, "disparity", False))

    @property
    def class_names(self) -> Names:
        """The names of the classes of the labels as read; empty without classes."""
        return getattr(self.options, "names", ())

    @property
    def codec(self) -> Codec[Any]:
        """The format of its label files."""
        return codec(self.spec.codec)

    @property
    def region_names(self) -> Names:
        """The names of the regions that a tool draws for a label, by number.

        The names are the classes, or the task's own name; empty if labels cannot be drawn.
        """
        name_regions = getattr(self.codec, "region_names", None)
        if name_regions is None:
            return ()
        names: Names = name_regions(self.options)
        return names or (self.name,)

    @property
    def keys(self) -> Mapping[str, int]:
        """The words that answer for a whole region, with the number of the label; none: no word."""
        return self.spec.keys(self.options)

    @property
    def region_colours(self) -> RGB:
        """The colours [k, 3] of `region_names`, the same in all pictures of the project."""
        return class_colours(self.region_names, self.class_order)

    def covers(self, label: LabelArray) -> Bools:
        """The pixels [h, w] of a label that hide a photograph below: all but the background."""
        shown = finite_pixels(label.value) & label.valid
        if not self.class_names:
            return shown
        opaque = np.array([not is_background(name) for name in self.class_names])
        return shown & opaque[np.where(shown, label.value[..., 0], 0).astype(np.int64)]

    def from_regions(self, regions: RegionMap) -> LabelArray:
        """The label of the regions that a tool drew, in the numbers of `region_names`."""
        return cast("Any", self.codec).from_regions(regions, self.options)

    def to_regions(self, label: LabelArray) -> RegionMap:
        """The regions of a label, for a tool to draw: the inverse of `from_regions`."""
        return cast("Any", self.codec).to_regions(label, self.options)

    def transform(self, value: Array, valid: Bools, geometry: Placement) -> tuple[Array, Bools]:
        """Transform label values [h, w, c] and valid [h, w] to a view of the image."""
        return self.spec.transform(value, valid, geometry, self.options)

    def render(self, value: Array, valid: Bools, limits: Range | None = None) -> Bytes:
        """Render values [h, w, c], 0 where not valid [h, w], as a picture [h, w, 3].

        `limits` sets the scale's ends.
        """
        if self.spec.render is None:
            return self.region_colours[value[..., 0].astype(np.int64)]
        return self.spec.render(value, valid, limits, self.options)

    def figures(self, label: LabelArray) -> LabelFigures:
        """Compute the figures of a label by name, of a part of the pixels."""
        return self.spec.figures(label.value, label.valid, self.options)

    def fine_figures(self, label: LabelArray) -> LabelFigures:
        """The figures by name that need all pixels of a label."""
        if self.spec.fine_figures is no_figures:  # the numbers of the pixels may not be decoded yet
            return {}
        return self.spec.fine_figures(label.value, label.valid, self.options)

    def measured(self, label: LabelArray) -> tuple[Any, ...]:
        """The measurement of a label by each check of the kind."""
        return tuple(check.of(label, self.options) for check in self.spec.checks)

    def agreement(self, label: LabelArray, truth: LabelArray) -> Sequence[Result]:
        """Compare a label with the true label of the same size.

        No results if no pixel is valid in both, or the kind does not compare labels.
        """
        return self.spec.agreement(label, truth, self.options)

    def overview(self) -> Overview:
        """Start to gather numbers of many labels, none yet."""
        overview = self.spec.overview(self.options)
        if self.class_names:
            overview.class_colours = self.region_colours
        return overview

    def judged(self, label: LabelArray) -> LabelArray:
        """A large label's sample for judging; the whole label if a sample would break lines."""
        sample = label.sample()
        if sample is not label and self.overview().lines:
            return label
        return sample

    def slope(self, label: LabelArray) -> Array | None:
        """The change of distance to the right and upward, [h, w, 2]; None if the kind has none."""
        return self.spec.slope(label.value, label.valid, self.options)

    def other_slopes(self, label: LabelArray) -> Mapping[str, Array]:
        """The slopes of a label under other options, by option."""
        return self.spec.other_slopes(label.value, label.valid, self.options)

    def outline(self, label: LabelArray) -> Floats32 | None:
        """The changes in a label, from 0 up, [h, w] of any size; None if the kind has none."""
        return self.spec.outline(label.value, label.valid, self.options)

    def read(self, path: Path, size: Size | None = None) -> LabelArray:
        """Read and check the label in a file, at the size of the image.

        Args:
            path: the file.
            size: height and width of the image, if known: a file that would take far more is
                refused before it is unpacked.
        """
        with self.bounded(size):
            return self.form.upsample(self.codec.read(path, self.options))

    def bounded(self, size: Size | None) -> AbstractContextManager[None]:
        """Bound the pixels of labels read inside, by the size of the image; None: do not."""
        if size is None:
            return nullcontext()
        return label_of(size, RESAMPLED if self.form.resample else TIMES)

    def limit_classes(self, label: LabelArray, class_count: int) -> LabelArray:
        """Mark all classes but the first `class_count` as not annotated, for an older label.

        Labels without classes stay as they are.
        """
        limit = getattr(self.codec, "limit_classes", None)
        if limit is None or class_count >= len(self.classes):
            return label
        return limit(label, class_count, self.options)

    def read_at(self, path: Path, size: Size) -> LabelArray:
        """As `read`, resampled to the size of the image if the task declares `resample`."""
        return self.form.at_size(self.read(path, size), size)

    def read_prediction(self, path: Path, size: Size | None = None) -> LabelArray:
        """Read a prediction in a label file, without the checks that poor predictions fail."""
        read: Callable[[Path, Any], LabelArray]
        read = getattr(self.codec, "read_prediction", self.codec.read)
        with self.bounded(size):
            return self.form.upsample(read(path, self.options))

    def read_supplied(self, path: Path) -> LabelArray:
        """Read a supplier's label, whose depth may exceed a largest value declared afterwards."""
        return self.read_prediction(path) if self.spec.up_to else self.read(path)

    def read_relative(self, path: Path, shift: bool) -> LabelArray | None:
        """Read a map of a kind with `up_to` in numbers that `read` allows.

        None if `read` reads it just so.
        """
        label = cast("Any", self.codec).read_relative(path, self.options, shift)
        return self.form.upsample(label) if label else None

    def stored_size(self, path: Path) -> Size | None:
        """The size of a label file's image, by the file's header; None if the format cannot tell.

        Raises:
            LabelError: the header cannot be read.
        """
        read_size = getattr(self.codec, "stored_size", None)
        if read_size is None:
            return None
        size: Size | None = read_size(path)
        if size is None:
            return None
        height, width = size
        return height * self.form.stride, width * self.form.stride

    def write(self, path: Path, label: LabelArray) -> None:
        """Write the file of a label at the size of its image.

        Raises:
            LabelError: the disk reports an error, or the task's stride does not divide the image's
                sides.
        """
        self.codec.write(path, self.form.downsample(label), self.options)

    def describe(self) -> str:
        """Describe the task's label files to annotators.

        One line describes the files; each listed item, such as a class, has a further line.
        """
        first, *others = self.codec.describe(self.options).splitlines()
        if self.form.stride > 1:
            first += f" Its sides are 1/{self.form.stride} of the image's."
        if self.form.resample:
            first += " It may have another size than its image, of the same shape."
        return "\n".join([first, *others])

    def chosen(
        self, metrics: Mapping[str, Callable[..., Metric]]
    ) -> dict[str, Callable[[], Metric]]:
        """Choose the metrics to measure from all metrics of the kind, with their options."""
        options = self.metrics.items()
        return {name: partial(metrics[name], **vars(values)) for name, values in options}

    def build(self) -> Task:
        """Build the task's functions on tensors (imports torch)."""
        return plugins.create("kinds", self.kind, self)

    @property
    def plain_fields(self) -> Json:
        """The plain data of a `Task`, for the `build` of a kind."""
        return {
            "name": self.name,
            "kind": self.kind,
            "unit": self.spec.unit,
            "cost": self.cost,
            "weight": self.spec.weight,
            "headline": self.headline,
        }


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task's functions on tensors.

    A raw output is what a network returns for the task; a prediction is `activate(raw)`.

    Args:
        channels: the channels of raw outputs and predictions.
        label_channels: the channels c of the targets' values.
        activate: raw [b, channels, h, w] -> prediction of the same shape.
        pixel_loss: raw and target of one size -> [b, 1, h, w], 0 where the target is not valid. An
            image's losses must depend on that image alone: training calls it with the labelled
            images of a batch.
        as_prediction: safe label values [b, label_channels, h, w] -> the certain prediction of
            these values.
        to_target: prediction -> the label it corresponds to, valid where it can be used, as for
            pseudo-labels and prelabels.
        moments: creates the streamed statistics of many predictions of one input.
        disagreement: two predictions -> [b, 1, h, w] >= 0 (TCD).
        metrics: create the metrics that are measured over a set, by name; `TaskDef.chosen` selects
            them.
        from_mean: the mean of predictions -> a valid prediction; mean vectors are normalised to
            unit length.
        other_losses: further pixel losses by name; a recipe's `[objective] losses` can choose one.
        other_disagreements: further measures of disagreement by name.
        probabilities: prediction -> probabilities [b, k, h, w] of k >= 2 classes; None for tasks
            that predict values.
        largest: whether a label is the index of the largest channel, in raw outputs as in
            predictions: `to_target` takes both, and any channels of them.
        scale: scales predictions and labels for networks that read maps of several tasks.
    """

    name: str
    kind: str
    channels: int
    label_channels: int
    unit: str
    cost: float
    weight: float
    headline: str
    activate: TensorMap
    pixel_loss: PixelLoss
    as_prediction: TensorMap
    to_target: Callable[[Tensor], Target]
    moments: Callable[[], Moments]
    disagreement: Disagreement
    metrics: Mapping[str, Callable[[], Metric]]
    from_mean: TensorMap = keep_values
    other_losses: Mapping[str, PixelLoss] = field(default_factory=dict)
    other_disagreements: Mapping[str, Disagreement] = field(default_factory=dict)
    probabilities: TensorMap | None = None
    largest: bool = False
    scale: Scale = field(default_factory=Scale)

    def metric(self) -> Metric:
        """Create the task's metrics over a set, as one metric."""
        from labelgrid.pixel.metric_set import MetricSet

        return MetricSet([start() for start in self.metrics.values()])

    def loss(self, raw: Tensor, target: Target) -> Tensor:
        """The mean [b] of the pixel loss over each image's valid pixels; 0 without any."""
        from labelgrid.pixel.target import mean_per_image

        return mean_per_image(self.pixel_loss(raw, target), target.valid)

    def uncertainty(self, samples: Tensor) -> Tensor:
        """The uncertainty [b, 1, h, w], in nats, of d predictions [d, b, c, h, w]."""
        moments = self.moments()
        for sample in samples:
            moments.update(sample)
        return moments.uncertainty()


#: By the names of the tasks.
TaskDefs = Mapping[str, TaskDef]
Tasks = Mapping[str, Task]


def binary_task(
    task: TaskDef,
    pixel_loss: PixelLoss,
    metrics: Mapping[str, Callable[..., Metric]],
) -> Task:
    """The functions of labels of yes and no: sigmoid, two-class entropy."""
    import torch

    from labelgrid.pixel import disagreement, prediction, uncertainty

    return Task(
        **task.plain_fields,
        channels=1,
        label_channels=1,
        activate=torch.sigmoid,
        pixel_loss=pixel_loss,
        as_prediction=prediction.pass_through,
        to_target=prediction.binary_target,
        moments=uncertainty.BinaryMoments,
        disagreement=disagreement.binary_divergence,
        other_disagreements={"js": disagreement.binary_js},
        metrics=task.chosen(metrics),
        probabilities=prediction.two_classes,
        scale=Scale(
            neutral=0.5, error=probability_error, released_error=released_probability_error
        ),
    )


def spec_of(kind: str) -> Spec:
    """The plain data of a kind, without torch."""
    if plugins.is_own("kinds", kind):
        path, _, _ = plugins.target_of("kinds", kind).partition(":")
        plugins.module("kinds", kind)  # refuses it under the name that the user knows
        spec = plugins.resolve("kinds", f"{path}:SPEC")
        if not isinstance(spec, Spec):
            raise PluginError(f"'{kind}' is not a kind of task: the module's SPEC is not a `Spec`.")
        return spec
    return plugins.module("kinds", kind).SPEC


def definitions(
    rows: list[TaskRow] | tuple[TaskRow, ...], class_lists: Sequence[Names] = ()
) -> dict[str, TaskDef]:
    """The definitions by name, in the ledger's order.

    Args:
        rows: the rows of the ledger.
        class_lists: the lists that labels were made with, the oldest first, for the order in which
            the classes came up.
    """
    tasks = [TaskDef.of(row) for row in rows]
    names = (name for task in tasks for name in task.class_names)
    order = name_order(class_lists, names)
    return {task.name: replace(task, class_order=order) for task in tasks}


def build_all(tasks: Mapping[str, TaskDef], losses: Texts | None = None) -> dict[str, Task]:
    """The functions of all tasks by name, some with another loss of their kind.

    Raises:
        RecipeError: a loss is chosen for an unknown task, or the task has no loss of that name.
    """
    functions = {name: task.build() for name, task in tasks.items()}
    for name, loss in (losses or {}).items():
        if name not in functions:
            raise RecipeError(
                f"objective.losses names '{name}', which is not a task.",
                next_step=f"The tasks are: {', '.join(functions)}.",
            )
        others = functions[name].other_losses
        if loss not in others:
            choices = ", ".join(f"'{other}'" for other in others) or "none"
            raise RecipeError(
                f"objective.losses names the loss '{loss}' for '{name}', which it does not have.",
                next_step=f"Its losses besides the default: {choices}.",
            )
        functions[name] = replace(functions[name], pixel_loss=others[loss])
    return functions


def _metric_options(spec: Spec, headline: object, tables: object, where: str) -> Json:
    headlines = {**{name: name for name in spec.metrics}, **spec.other_figures}
    if not isinstance(headline, str) or headline not in headlines:
        raise RecipeError(
            f"headline is {headline!r}, which is no figure of this kind.",
            where=where,
            next_step=f"The kind has: {', '.join(headlines)}.",
        )
    needed = headlines[headline]
    if tables is None:
        tables = {needed: {}}
    if (
        not isinstance(tables, Mapping)
        or needed not in tables
        or tables.keys() - spec.metrics.keys()
    ):
        raise RecipeError(
            f"metrics is {tables!r}; it is a table of metrics and their options, "
            f"'{needed}' among them.",
            where=where,
            next_step=f"The kind has: {', '.join(spec.metrics)}.",
        )
    options = {}
    for name, options_type in spec.metrics.items():
        if name in tables:
            options[name] = parse(options_type, tables[name], f"{where}, metric '{name}'")
    return options
