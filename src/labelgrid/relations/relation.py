"""Defines relations, which derive a label from other labels of the same image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labelgrid.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import TaskDef

#: The labels that a relation reads and the camera of their image, or None -> the derived label.
Derive = Callable[[Sequence[LabelArray], Camera | None], LabelArray]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A relation between kinds of tasks: plain data, and a function. Loads no torch.

    A module of `labelgrid.relations.derivations` has a frozen dataclass `Options` and
    `build(options)`, which returns one. Laws: `tests/contracts/test_relations.py`.

    Args:
        reads: the kinds of the labels that it reads, in their order.
        gives: the kind of the label that it derives.
        between: for the tasks whose labels it reads, in that order, and the task of the derived
            label: the function that derives, on NumPy arrays. It derives a label of the size of
            those that it reads. A pixel is valid only where it is sure; what is not valid in the
            labels changes nothing. It raises `LabelError` if it needs a camera and there is none.
            `between` raises `RecipeError` if the relation does not hold between these tasks, for
            example because their classes do not fit its options.
        needs_camera: whether it needs the camera that took the image.
    """

    reads: tuple[str, ...]
    gives: str
    between: Callable[[Sequence[TaskDef], TaskDef], Derive]
    needs_camera: bool = False
