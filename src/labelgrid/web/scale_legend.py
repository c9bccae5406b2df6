"""Says what the colours of labels mean: classes, the ends of a scale, or directions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.overview import Legend, Overview
from labelgrid.tasks.pictures import picture_file
from labelgrid.tasks.task import TaskDef
from labelgrid.web.drawings import value_names

#: The ends of a scale that each label has for itself.
OWN_ENDS = ("its smallest", "its largest")


@dataclass(frozen=True, kw_only=True)
class ScaleLegend:
    """A legend.

    Args:
        swatches: names and colours ("#rrggbb").
        ends: what is at the left and at the right of the scale.
        has_scale: whether there is a picture of the scale.
    """

    swatches: Sequence[tuple[str, str]]
    ends: tuple[str, str]
    has_scale: bool


def scale_legend(task: TaskDef, label: LabelArray) -> ScaleLegend | None:
    """The legend of the picture of a label, as `draw_label` draws it; None if all is unknown."""
    if not label.valid.any():
        return None
    seen = _seen(task, label)
    legend = seen.legend(seen.limits())
    return ScaleLegend(
        swatches=_swatches(legend), ends=legend.ends, has_scale=legend.scale is not None
    )


def scale_ends(task: TaskDef, label: LabelArray) -> tuple[float, float] | None:
    """The values at the ends of a label's scale; None: its colours have a fixed meaning."""
    return _seen(task, label).limits() if label.valid.any() else None


def shared_legends(tasks: Mapping[str, TaskDef], shown: Collection[str]) -> dict[str, ScaleLegend]:
    """The legends of the shown tasks for all their pictures, in the order of all tasks."""
    legends = {}
    for name in filter(shown.__contains__, tasks):
        legend = tasks[name].overview().legend((0.0, 1.0))
        swatches = value_names(tasks[name]) or _swatches(legend)
        ends = ("", "") if swatches else OWN_ENDS
        has_scale = legend.scale is not None
        legends[name] = ScaleLegend(swatches=swatches, ends=ends, has_scale=has_scale)
    return legends


def _swatches(legend: Legend) -> list[tuple[str, str]]:
    return [(name, "#{:02x}{:02x}{:02x}".format(*colour)) for colour, name in legend.swatches]


def draw_scale(task: TaskDef) -> bytes | None:
    """The colours of a task's scale as PNG; None if it has none."""
    scale = task.overview().legend((0.0, 1.0)).scale
    return None if scale is None else picture_file(scale, ".png")


def _seen(task: TaskDef, label: LabelArray) -> Overview:
    seen = task.overview()
    seen.add("", label)
    return seen
