"""Surface normal estimation: unit vectors; x right, y up, z toward the camera.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in any unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.tasks.pictures import vectors
from labelgrid.tasks.placement import Labels, Placement
from labelgrid.tasks.task import NoOptions, Spec, Task, TaskDef


def turned(value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement, _options: object) -> Labels:
    """Interpolate the valid neighbours linearly and normalise; take the nearest vector where they cancel out.

    A flip mirrors the vectors with the image; a zoom does not change them.
    """
    blend = geometry.linear(value, valid)
    length = np.sqrt(blend[..., 0] ** 2 + blend[..., 1] ** 2 + blend[..., 2] ** 2)
    void = length < 1e-3
    length[void] = 1
    for channel in range(3):  # NumPy is slow along an axis of three
        blend[..., channel] /= length
    if void.any():
        blend[void] = geometry.nearest(value)[void]
    blend[..., 0], down = geometry.turned(blend[..., 0], -blend[..., 1])
    blend[..., 1] = -down
    return blend, geometry.nearest(valid)


SPEC = Spec(
    kind="normals",
    codec="normals",
    unit="degree",
    cost=1.0,
    weight=10.0,
    headline="mErr",
    metrics={"mErr": NoOptions},
    transform=turned,
    render=vectors,
)


def build(task: TaskDef) -> Task:
    """The functions of a normal map: unit length, L1 loss, entropy of the full covariance, mean angle.

    MTPSL's cosine loss: `dataclasses.replace(task, pixel_loss=losses.unit_vector_cosine)`.
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
        headline=SPEC.headline,
        activate=prediction.unit_vectors,
        pixel_loss=losses.unit_vector_l1,
        as_prediction=prediction.unchanged,
        to_target=prediction.vector_target,
        moments=uncertainty.VectorMoments,
        disagreement=disagreement.cosine_distance,
        metrics=task.chosen({"mErr": metrics.NormalsMetric}),
        from_mean=prediction.unit_mean,
    )
