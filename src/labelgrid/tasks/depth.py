"""What a map of distances is as a task: metres along the camera axis, or a disparity, which grows toward it.

The default cost is a placeholder on the scale of minutes a label; set your own prices in the project, in any unit.
"""

from __future__ import annotations

from functools import partial

from labelgrid.tasks.task import Spec, Task, TaskDef

SPEC = Spec(
    kind="depth",
    codec="depth",
    unit="m",
    cost=1.0,
    weight=1.0,
    headline="RMSE",
    geometry="depth",
    colours="distance",
)


def build(task: TaskDef) -> Task:
    """The functions of a depth map: raw values, absolute error, Gaussian entropy, RMSE. A disparity has no unit."""
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    unit = "" if task.geometry == "disparity" else SPEC.unit
    return Task(
        name=task.name,
        kind=task.kind,
        channels=1,
        label_channels=1,
        unit=unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=SPEC.headline,
        geometry=task.geometry,
        activate=prediction.unchanged,
        pixel_loss=losses.absolute_error,
        as_prediction=prediction.unchanged,
        moments=uncertainty.GaussianMoments,
        disagreement=disagreement.absolute_difference,
        metric=partial(metrics.DepthMetric, unit),
    )
