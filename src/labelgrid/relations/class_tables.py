"""Finds classes by names, counts pixels of classes, and looks classes up in tables."""

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Ints
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import join_names
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import TrueExample
from labelgrid.tasks.task import TaskDef

#: In a table by class: nothing is known of the pixels of the class.
NOTHING = -1


def class_index(task: TaskDef, name: str, option: str) -> int:
    """The number of a class in the labels of a task.

    Raises:
        RecipeError: the task has no such class.

    Example:
        >>> from labelgrid.ledger.grid import TaskRow
        >>> task = TaskDef.of(TaskRow("rooms", "semseg", 1.0, {"classes": ["wall", "person"]}))
        >>> class_index(task, "person", "person")
        1
    """
    names = task.class_names
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, 1)
    hint = ""
    if near:
        hint = f" (did you mean '{near[0]}'?)"
    raise RecipeError(
        f"`{option}` names '{name}', which is no class of '{task.name}'{hint}.",
        next_step=f"Its classes are: {join_names(names)}.",
    )


def look_up_classes(label: LabelArray, table: Ints) -> LabelArray:
    """The number of each pixel's class in a table [classes]: int64 [h, w, 1].

    A pixel is not valid where the table says `NOTHING`. Where classes were not annotated, a pixel
    may be of any of them, and is valid if the table says the same of them all.

    Example:
        >>> label = LabelArray(np.array([[[0], [1], [2]]]), np.ones((1, 3), np.bool_))
        >>> found = look_up_classes(label, np.array([5, NOTHING, 6]))
        >>> found.value[..., 0].tolist(), found.valid.tolist()
        ([[5, 0, 6]], [[True, False, True]])
    """
    said = table[np.where(label.valid, label.value[..., 0], 0)]
    valid = label.valid & (said != NOTHING)
    if label.annotated is not None:
        for other in np.unique(table[~label.annotated]):
            valid &= said == other
    return LabelArray(np.where(valid, said, 0)[..., None], valid)


def derive_by_table(
    table: Ints, labels: Sequence[LabelArray], _camera: Camera | None
) -> LabelArray:
    """As `Derive`: look the classes of the only label up in a table."""
    (label,) = labels
    return look_up_classes(label, table)


def count_pairs(reads: TaskDef, gives: TaskDef, example: TrueExample) -> Ints:
    """Count the pixels of each class of the read label by class of the true label."""
    size = (len(reads.class_names), len(gives.class_names))
    return count_classes(example.labels[0], example.truth.value[..., 0], example.truth, size)


def count_classes(
    label: LabelArray, values: NDArray[np.integer], truth: LabelArray, size: Size
) -> Ints:
    """Counts the pixels of each class that have each value: int64 `size`, [classes, values].

    Args:
        label: the classes.
        values: [h, w] of whole numbers, of the true label.
        truth: the true label; only pixels that are valid in both labels count.
        size: the number of classes, and that of values.

    Returns:
        The counts; of labels with classes that were not annotated, zeros.

    Example:
        >>> label = LabelArray(np.array([[[0], [1], [1]]]), np.ones((1, 3), np.bool_))
        >>> count_classes(label, np.array([[1, 0, 1]]), label, (2, 2)).tolist()
        [[0, 1], [1, 1]]
    """
    both = label.valid & truth.valid
    for compared in (label, truth):
        if compared.annotated is not None and not compared.annotated.all():
            both = np.zeros_like(both)
    bins = label.value[..., 0][both].astype(np.int64) * size[1] + values[both]
    return np.bincount(bins, minlength=size[0] * size[1]).reshape(size)


def sum_counts(readings: Sequence[Ints]) -> Ints:
    """The sum of counts of several images; one at least."""
    return np.sum(readings, axis=0, dtype=np.int64)
