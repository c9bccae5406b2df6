"""Derives the salient object from classes: the pixels of some classes, such as people, are it.

In an image without these, something else may be salient: nothing is valid. Of predicted
probabilities, it is the sum of those of the classes; an image is without them if it is below 0.5
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labelgrid.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.class_tables import class_index, look_up_classes
from labelgrid.relations.relation import Derive, DerivePredicted, Relation
from labelgrid.tasks.task import TaskDef

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target


@dataclass(frozen=True)
class Options:
    """What is salient.

    Args:
        classes: the classes whose pixels are salient; where there are some, those of all others are
            not.
    """

    classes: tuple[str, ...] = ("person",)

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("classes must name at least one class")


def derive_saliency(
    salient: NDArray[np.int64], labels: Sequence[LabelArray], _camera: Camera | None
) -> LabelArray:
    """The pixels of the classes that a table [classes] marks with 1."""
    (label,) = labels
    found = look_up_classes(label, salient)
    valid = found.valid & bool(found.value[found.valid].any())
    return LabelArray(found.value.astype(np.float32), valid)


def predicted_saliency(
    salient: NDArray[np.int64], predictions: Sequence[Tensor], _camera: Tensor | None
) -> Target:
    """As `derive_saliency`, of class probabilities, with gradients."""
    import torch

    from labelgrid.pixel.target import Target

    (probabilities,) = predictions
    finite = probabilities.isfinite().all(1, keepdim=True)
    safe = torch.where(finite, probabilities, 0)
    value = safe[:, salient.nonzero()[0].tolist()].sum(1, keepdim=True)
    is_there = (value >= 0.5).flatten(1).any(1)
    return Target(value, finite).where(is_there)


def build(options: Options) -> Relation:
    """The relation from classes to saliency."""

    def between(reads: Sequence[TaskDef], _gives: TaskDef) -> Derive:
        return partial(derive_saliency, _salient_classes(options, reads))

    def on_predictions(reads: Sequence[TaskDef], _gives: TaskDef) -> DerivePredicted:
        return partial(predicted_saliency, _salient_classes(options, reads))

    return Relation(
        reads=("semseg",),
        gives="saliency",
        between=between,
        on_predictions=on_predictions,
        guesses=True,
    )


def _salient_classes(options: Options, reads: Sequence[TaskDef]) -> NDArray[np.int64]:
    """Int64 [classes]: 1 for those whose pixels are salient.

    Raises:
        RecipeError: the options name a class that the task does not have.
    """
    (semseg,) = reads
    salient = np.zeros(len(semseg.class_names), np.int64)
    for name in options.classes:
        salient[class_index(semseg, name, "classes")] = 1
    return salient
