"""A kind of task of your own in one file: depth with a loss on its inverse, so that near objects count most.

Put this folder on PYTHONPATH and give the task the kind "inverse_depth_task:build": a module and
its function. Commands run it with `--trust inverse_depth_task`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from labelgrid.tasks.kinds import depth
from labelgrid.tasks.scale import Scale, divide_by_maximum, zoom_distances
from labelgrid.tasks.task import Spec, Task, TaskDef

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target

#: The largest distance that can be predicted, in metres.
FARTHEST = 100.0

# Plain data, without torch: label files, pictures and geometry are the same as for depth.
SPEC = Spec(
    kind="inverse_depth_task:build",
    codec="depth",
    unit="m",
    cost=1.0,
    weight=5.0,
    headline="RMSE",
    metrics={"RMSE": depth.Errors},
    transform=depth.zoom_depth,
    render=depth.render_depth,
)


def inverse(raw: Tensor) -> Tensor:
    """1 / distance of a raw output; always positive."""
    from torch.nn.functional import softplus

    return softplus(raw) + 1 / FARTHEST


def distance(raw: Tensor) -> Tensor:
    """The prediction, in metres."""
    return 1 / inverse(raw)


def inverse_error(raw: Tensor, target: Target) -> Tensor:
    """|1 / prediction - 1 / label|; invalid labels are replaced by 1 m, which keeps the arithmetic finite."""
    error = (inverse(raw) - 1 / target.safe(fill=1.0)).abs()
    return error * target.valid


def build(task: TaskDef) -> Task:
    """The functions of this kind; most are the same as for depth."""
    from labelgrid.pixel import disagreement, metrics, prediction, uncertainty

    return Task(
        name=task.name,
        kind=task.kind,
        channels=1,
        label_channels=1,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=SPEC.headline,
        activate=distance,
        pixel_loss=inverse_error,
        as_prediction=prediction.pass_through,
        to_target=prediction.positive_target,
        moments=uncertainty.GaussianMoments,
        disagreement=disagreement.absolute_difference,
        metrics=task.chosen({"RMSE": partial(metrics.DepthMetric, SPEC.unit)}),
        scale=Scale(scaled=divide_by_maximum, zoomed=zoom_distances, unbounded=True),
    )
