"""Derives depth from the disparity of two cameras: focal length times baseline over disparity.

Disparities are in pixels of the image, depths in metres. `relate` finds the baseline from images
with true labels of both tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.camera import Camera
from labelgrid.basics.config import check_ranges
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.type_names import Values
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import (
    Derive,
    OptionFinder,
    Relation,
    TrueExample,
    known_camera,
)
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Options:
    """The pair of cameras.

    Args:
        baseline: the distance between the two cameras in metres; it must be given, or found.
    """

    baseline: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, baseline=(0, 1000))


def build(options: Options) -> Relation:
    """The relation from disparity to depth."""

    def between(reads: Sequence[TaskDef], gives: TaskDef) -> Derive:
        (disparity,) = reads
        _check_tasks(disparity, gives)
        if not options.baseline:
            raise RecipeError(
                "Depth follows from disparity by the distance between the two cameras, which is "
                "not given.",
                next_step="Set the option, in metres: `baseline = 0.12`.",
            )

        def derive(labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
            (label,) = labels
            camera = known_camera(camera, "Depth follows from disparity")
            return _depth(label, camera.fx * options.baseline)

        return derive

    return Relation(
        reads=("depth",), gives="depth", between=between, needs_camera=True, finder=_finder
    )


def _finder(reads: Sequence[TaskDef], gives: TaskDef) -> OptionFinder:
    """Finds the baseline: the median over images."""
    (disparity,) = reads
    _check_tasks(disparity, gives)
    return OptionFinder(finds=("baseline",), read=_baseline, propose=_proposed)


def _baseline(example: TrueExample) -> float:
    """The median over pixels; NaN if it is not known."""
    (disparity,) = example.labels
    both = disparity.valid & example.truth.valid & (disparity.value[..., 0] > 0)
    if example.camera is None or not both.any():
        return float("nan")
    products = disparity.value[..., 0][both] * example.truth.value[..., 0][both]
    return float(np.median(products.astype(np.float64))) / example.camera.fx


def _proposed(readings: Sequence[float]) -> list[Values]:
    baselines = [baseline for baseline in readings if baseline > 0]
    return [{"baseline": round(float(np.median(baselines)), 6)}] if baselines else []


def _check_tasks(disparity: TaskDef, depth: TaskDef) -> None:
    """Refuse tasks other than a task of disparities and a task of depths."""
    if not getattr(disparity.options, "disparity", False):
        raise RecipeError(
            f"The relation reads disparities; '{disparity.name}' has depths.",
            next_step="Name a task with `disparity = true` in `reads`.",
        )
    if getattr(depth.options, "disparity", False):
        raise RecipeError(
            f"The relation derives depths; '{depth.name}' has disparities.",
            next_step="Name a task of depths in `gives`.",
        )


def _depth(label: LabelArray, scale: float) -> LabelArray:
    """The depth `scale` over each disparity; one of 0 or less has none."""
    disparity = np.where(label.valid[..., None], label.value, 0)
    near = disparity > 0
    with np.errstate(over="ignore"):
        depth = np.divide(scale, disparity, out=np.zeros_like(disparity), where=near)
    valid = near & (depth < np.inf)
    return LabelArray(np.where(valid, depth, 0), valid[..., 0])
