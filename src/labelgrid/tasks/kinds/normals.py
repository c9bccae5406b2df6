"""Surface normal estimation: unit vectors; x right, y up, z toward the camera.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.outlines import direction_outline
from labelgrid.tasks.pictures import render_vectors
from labelgrid.tasks.placement import Labels, Placement
from labelgrid.tasks.scale import Scale, direction_error, shift_to_unit_range, unmirror_vectors
from labelgrid.tasks.task import NoOptions, Spec, Task, TaskDef

#: Components up to this say nothing about a slope: 8-bit files cannot hold 0.
FLAT = 0.05
#: Mean components, and correlations of components with places, may differ by this between sets of
#: labels.
MEAN = 0.35
TURN = 0.45


def turn_normals(
    value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement, _options: object
) -> Labels:
    """Interpolate the valid neighbours linearly and normalise.

    Where they cancel out, the nearest vector is taken. A flip mirrors the vectors with the image; a
    zoom does not change them.
    """
    blend = geometry.linear(value, valid)
    length = np.sqrt(blend[..., 0] ** 2 + blend[..., 1] ** 2 + blend[..., 2] ** 2)
    void = length < 1e-3
    length[void] = 1
    for channel in range(3):  # NumPy is slow along an axis of three
        blend[..., channel] /= length
    if void.any():
        blend[void] = geometry.nearest(value)[void]
    blend[..., 0], down = geometry.turn(blend[..., 0], -blend[..., 1])
    blend[..., 1] = -down
    return blend, geometry.nearest(valid)


def direction_figures(
    value: NDArray[Any], valid: NDArray[np.bool_], _options: object
) -> Mapping[str, LabelFigure]:
    """The mean components, and how x changes with the column and y with the height.

    The walls of rooms face inward, things outward.
    """
    x, y, z = value[valid].T
    figures = {
        "the mean x (right)": LabelFigure(value=float(x.mean()), tolerance=MEAN),
        "the mean y (up)": LabelFigure(value=float(y.mean()), tolerance=MEAN, range=(-0.15, 1)),
        "the mean z (toward the camera)": LabelFigure(
            value=float(z.mean()), tolerance=MEAN, range=(0.05, 1)
        ),
    }
    rows, columns = np.nonzero(valid)
    pairs = (("x with the column", x, columns), ("y with the height", y, -rows))
    for name, component, place in pairs:
        if min(float(component.std()), float(place.std())) > 1e-3:
            correlation = float(np.corrcoef(component, place)[0, 1])
            figures[f"the correlation of {name}"] = LabelFigure(value=correlation, tolerance=TURN)
    return figures


def normals_slope(value: NDArray[Any], valid: NDArray[np.bool_], _options: object) -> NDArray[Any]:
    """The sign of x and y over z.

    A surface that faces right recedes to the right, and one that faces up recedes upward.
    """
    vector = np.where((np.abs(value) > FLAT) & valid[..., None], np.sign(value), 0)
    return vector[..., :2] * vector[..., 2:]


SPEC = Spec(
    kind="normals",
    codec="normals",
    unit="degree",
    cost=1.0,
    weight=10.0,
    headline="mErr",
    metrics={"mErr": NoOptions},
    transform=turn_normals,
    render=render_vectors,
    figures=direction_figures,
    outline=direction_outline,
    slope=normals_slope,
    other_figures={f"below {degrees}": "mErr" for degrees in ("11.25", "22.5", "30")},
)


def build(task: TaskDef) -> Task:
    """The functions of a normal map: unit length, L1 or cosine loss, entropy, mean angle.

    The entropy is that of the full covariance.
    """
    from labelgrid.pixel import disagreement, losses, metrics, prediction, uncertainty

    return Task(
        name=task.name,
        kind=task.kind,
        channels=3,
        label_channels=3,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=task.headline,
        activate=prediction.unit_vectors,
        pixel_loss=losses.unit_vector_l1,
        as_prediction=prediction.pass_through,
        to_target=prediction.vector_target,
        moments=uncertainty.VectorMoments,
        disagreement=disagreement.cosine_distance,
        metrics=task.chosen({"mErr": metrics.NormalsMetric}),
        from_mean=prediction.unit_mean,
        other_losses={"cosine": losses.unit_vector_cosine},
        scale=Scale(
            scaled=shift_to_unit_range,
            neutral=0.5,
            mirrored=unmirror_vectors,
            error=direction_error,
        ),
    )
