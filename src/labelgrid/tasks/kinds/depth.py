"""Depth estimation: metres along the camera axis, or a disparity, which grows toward the camera.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.formats.codecs import depth as files
from labelgrid.tasks.figures import LabelFigure, distance_slope
from labelgrid.tasks.pictures import RGB, render_distances
from labelgrid.tasks.placement import Labels, Placement
from labelgrid.tasks.scale import Scale, divide_by_maximum, zoom_disparities, zoom_distances
from labelgrid.tasks.task import Range, Spec, Task, TaskDef

#: The median depth of a label in any scene, from a hand's length to a view over a valley.
METRES = (0.05, 200.0)
#: Median depths of two sets of labels may differ by this factor; disparities by less, as 256 steps
#: of one are usual in files of 16 bits, which without a `scale` are read as 0.256 of it.
FACTOR = 5.0
FACTOR_DISPARITY = 3.0


@dataclass(frozen=True)
class Errors:
    """The options of RMSE and absErr.

    Args:
        least: predictions are raised to at least this value first (the survey's rule for
            predictions <= 0).
    """

    least: float = 1e-9


def zoom_depth(
    value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement, options: files.Options
) -> Labels:
    """Divide depth by the zoom, or multiply disparity: what looks larger is nearer.

    Resizing alone changes neither.
    """
    placed = geometry.nearest(value)
    zoom = np.float32(geometry.zoom)
    return placed * zoom if options.disparity else placed / zoom, geometry.nearest(valid)


def render_depth(
    value: NDArray[Any], valid: NDArray[np.bool_], limits: Range | None, options: files.Options
) -> RGB:
    """Render near pixels bright and far pixels dark."""
    return render_distances(value[..., 0], valid, limits, options.disparity)


def median_figure(
    value: NDArray[Any], valid: NDArray[np.bool_], options: files.Options
) -> Mapping[str, LabelFigure]:
    """The median: about 1000 times too small or too large if metres and millimetres are confused."""
    median = float(np.median(value[..., 0][valid]))
    if options.disparity:
        return {
            "the median disparity": LabelFigure(
                value=median, tolerance=FACTOR_DISPARITY, ratio=True
            )
        }
    return {
        "the median depth": LabelFigure(
            value=median, tolerance=FACTOR, ratio=True, range=METRES, unit=" m"
        )
    }


def depth_slope(
    value: NDArray[Any], valid: NDArray[np.bool_], options: files.Options
) -> NDArray[Any]:
    """The relative change of the distance; a disparity shrinks with it."""
    slope = distance_slope(value[..., 0], valid)
    return -slope if options.disparity else slope


SPEC = Spec(
    kind="depth",
    codec="depth",
    unit="m",
    cost=1.0,
    weight=1.0,
    headline="RMSE",
    metrics={"RMSE": Errors},
    transform=zoom_depth,
    render=render_depth,
    figures=median_figure,
    slope=depth_slope,
    other_figures={"absErr": "RMSE"},
)


def build(task: TaskDef) -> Task:
    """The functions of a depth map: raw values, absolute error, Gaussian entropy, RMSE.

    A disparity has no unit.
    """
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    unit = "" if task.options.disparity else SPEC.unit
    return Task(
        name=task.name,
        kind=task.kind,
        channels=1,
        label_channels=1,
        unit=unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=task.headline,
        activate=prediction.pass_through,
        pixel_loss=losses.absolute_error,
        as_prediction=prediction.pass_through,
        to_target=prediction.positive_target,
        moments=uncertainty.GaussianMoments,
        disagreement=disagreement.absolute_difference,
        metrics=task.chosen({"RMSE": partial(metrics.DepthMetric, unit)}),
        scale=Scale(
            scaled=divide_by_maximum,
            zoomed=zoom_disparities if task.options.disparity else zoom_distances,
            unbounded=True,
        ),
    )
