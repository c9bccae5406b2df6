"""Semantic segmentation and other class maps, such as human parts.

It has one channel per class of the label files' options. The default cost is a placeholder, roughly
minutes per label; set your own costs in the project, in any unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from labelgrid.tasks.figures import class_heights
from labelgrid.tasks.outlines import border_outline
from labelgrid.tasks.pictures import render_classes
from labelgrid.tasks.placement import same_values
from labelgrid.tasks.scale import Scale, probability_error
from labelgrid.tasks.task import Spec, Task, TaskDef


@dataclass(frozen=True)
class Overlap:
    """The options of mIoU and pixAcc.

    Args:
        absent: a class that is neither in labels nor in predictions is left out of the mean
            ("skip", as MTAN does), or counts as IoU 0 ("zero", as the survey's code does).
    """

    absent: Literal["skip", "zero"] = "skip"


SPEC = Spec(
    kind="semseg",
    codec="classes",
    unit="%",
    cost=10.0,
    weight=1.0,
    headline="mIoU",
    metrics={"mIoU": Overlap},
    transform=same_values,
    render=render_classes,
    figures=class_heights,
    outline=border_outline,
    other_figures={"pixAcc": "mIoU"},
)


def build(task: TaskDef) -> Task:
    """The functions of a class map: softmax, cross entropy, entropy of the mean, mIoU."""
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    classes = len(task.options.names)
    return Task(
        name=task.name,
        kind=task.kind,
        channels=classes,
        label_channels=1,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=task.headline,
        activate=prediction.class_probabilities,
        pixel_loss=losses.cross_entropy,
        as_prediction=partial(prediction.one_hot, classes=classes),
        to_target=prediction.class_target,
        moments=uncertainty.ClassMoments,
        disagreement=disagreement.class_divergence,
        other_disagreements={"js": disagreement.class_js},
        metrics=task.chosen({"mIoU": partial(metrics.SegmentationMetric, classes)}),
        probabilities=prediction.pass_through,
        largest=True,
        scale=Scale(error=probability_error),
    )
