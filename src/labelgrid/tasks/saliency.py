"""What a map of salient pixels is as a task: yes or no, balanced by area, judged by IoU and maxF.

The default cost is a placeholder on the scale of minutes a label; set your own prices in the project, in any unit.
"""

from __future__ import annotations

from labelgrid.tasks.task import Spec, Task, TaskDef

SPEC = Spec(
    kind="saliency",
    codec="binary",
    unit="%",
    cost=3.0,
    weight=5.0,
    headline="IoU",
    geometry="label",
    colours="grey",
)


def build(task: TaskDef) -> Task:
    """The functions of a saliency map: sigmoid, balanced cross entropy, two-class entropy, IoU."""
    import torch

    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    return Task(
        name=task.name,
        kind=task.kind,
        channels=1,
        label_channels=1,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=SPEC.headline,
        geometry=task.geometry,
        activate=torch.sigmoid,
        pixel_loss=losses.area_balanced_bce,
        as_prediction=prediction.unchanged,
        moments=uncertainty.BinaryMoments,
        disagreement=disagreement.binary_divergence,
        metric=metrics.SaliencyMetric,
    )
