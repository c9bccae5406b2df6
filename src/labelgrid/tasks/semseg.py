"""What a map of classes is as a task: semantic segmentation, human parts and the like.

Its channels are the classes of the label files' options. The default cost, like every kind's, is a placeholder on
the scale of minutes a label; set your own prices in the project, in any unit.
"""

from __future__ import annotations

from functools import partial

from labelgrid.tasks.task import Spec, Task, TaskDef

SPEC = Spec(
    kind="semseg",
    codec="classes",
    unit="%",
    cost=10.0,
    weight=1.0,
    headline="mIoU",
    geometry="label",
    colours="classes",
)


def build(task: TaskDef) -> Task:
    """The functions of a class map: softmax, cross entropy, entropy of the mean, mIoU."""
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    classes = len(task.options.classes)
    return Task(
        name=task.name,
        kind=task.kind,
        channels=classes,
        label_channels=1,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=SPEC.headline,
        geometry=task.geometry,
        activate=prediction.class_probabilities,
        pixel_loss=losses.cross_entropy,
        as_prediction=partial(prediction.one_hot, classes=classes),
        moments=uncertainty.ClassMoments,
        disagreement=disagreement.class_divergence,
        metric=partial(metrics.SegmentationMetric, classes),
    )
