"""What a map of surface normals is as a task: unit vectors, x right, y up, z toward the camera.

The default cost is a placeholder on the scale of minutes a label; set your own prices in the project, in any unit.
"""

from __future__ import annotations

from labelgrid.tasks.task import Spec, Task, TaskDef

SPEC = Spec(
    kind="normals",
    codec="normals",
    unit="degree",
    cost=1.0,
    weight=10.0,
    headline="mErr",
    geometry="normals",
    colours="vector",
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
        geometry=task.geometry,
        activate=prediction.unit_vectors,
        pixel_loss=losses.unit_vector_l1,
        as_prediction=prediction.unchanged,
        moments=uncertainty.VectorMoments,
        disagreement=disagreement.cosine_distance,
        metric=metrics.NormalsMetric,
    )
