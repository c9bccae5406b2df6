"""Defines relations, which derive a label from labels of the same image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Values
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import TaskDef

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target

#: The labels that a relation reads and the camera of their image, or None -> the derived label.
Derive = Callable[[Sequence[LabelArray], Camera | None], LabelArray]
#: Predictions [b, c, h, w] of the tasks that a relation reads, all of one size, and the cameras of
#: their images [b, 4] as in `labelgrid.data.batch`, in their pixels and all known, or None -> what
#: follows, as labels.
DerivePredicted = Callable[["Sequence[Tensor]", "Tensor | None"], "Target"]
#: Options that are tried, as a table [options] has them.
Tried = Mapping[str, Any]


class TrueExample(NamedTuple):
    """The labels of an image at the ends of a relation, and the camera."""

    labels: Sequence[LabelArray]
    truth: LabelArray
    camera: Camera | None


@dataclass(frozen=True, kw_only=True)
class OptionFinder:
    """Proposes options by true labels of images, where these are too many to be listed.

    Args:
        finds: the options that are proposed.
        read: a function that takes from an image what `propose` needs, such as counts of pixels.
        propose: a function from what some images say to the tables [options] to try, the preferred
            first; none if nothing follows.
    """

    finds: tuple[str, ...]
    read: Callable[[TrueExample], Any]
    propose: Callable[[Sequence[Any]], Sequence[Tried]]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A relation between kinds of tasks: plain data, and a function. Loads no torch.

    A module of `labelgrid.relations.derivations` has a frozen dataclass `Options` and
    `build(options)`, which returns one. Laws: `labelgrid.testing.relations`.

    Args:
        reads: the kinds of the labels that it reads, in their order.
        gives: the kind of the label that it derives.
        between: for the tasks whose labels it reads, in that order, and the task of the derived
            label: the function that derives, on NumPy arrays. The derived label has the size of the
            labels that are read. A pixel is valid only where it is sure; what is not valid in the
            labels changes nothing. It raises `LabelError` if it needs a camera and there is none.
            `between` raises `RecipeError` if the relation does not hold between these tasks, for
            example because their classes do not fit its options.
        needs_camera: whether it needs the camera that took the image.
        on_predictions: for tasks that `between` accepts: the function that derives from
            predictions, with gradients: the same values, valid also where it is less sure. Imports
            torch when it is called. None: there is none.
        margin: the rows above and below a row of pixels from which it derives the row:
            `relate` searches options and cameras on bands of rows of large images. The storage of
            the whole label, such as its steps, may count as well. Where labels are compared by more
            than single pixels, as lines are, and by default: None, it needs the whole image.
        guesses: whether the derived values are best guesses also where the relation is not sure, as
            long as the read labels are valid: `predict` writes these values, since a prediction
            covers every pixel.
        tries: options that `relate` tries beside the defaults, those of a table [options] each.
            Tables with the same options are compared with one another; then the tables after them
            are tried together with the best.
        finder: for the tasks as in `between`: proposes further options by labels, before `tries`.
            It raises `RecipeError` if the relation holds between these tasks with no options at
            all. So a relation is offered, too, whose defaults do not fit the tasks.
        unsettled: option -> why labels do not settle it; all others are in `tries` or are found.
        unsure: options with which it derives where it is less sure, too: for labels whose parts are
            compared where too little follows by default.
        turns: fault of a label that it reads, "mirrored" or "inverted" -> the factors of the
            channels of what follows, mirrored or not, for labels whose parts are compared.
    """

    reads: tuple[str, ...]
    gives: str
    between: Callable[[Sequence[TaskDef], TaskDef], Derive]
    needs_camera: bool = False
    on_predictions: Callable[[Sequence[TaskDef], TaskDef], DerivePredicted] | None = None
    margin: int | None = None
    guesses: bool = False
    tries: Sequence[Tried] = ()
    finder: Callable[[Sequence[TaskDef], TaskDef], OptionFinder] | None = None
    unsettled: Mapping[str, str] = field(default_factory=dict)
    unsure: Values = field(default_factory=dict)
    turns: Mapping[str, Sequence[float]] = field(default_factory=dict)


def known_camera(camera: Camera | None, derivation: str) -> Camera:
    """The camera of an image, for a relation that needs a camera.

    Args:
        camera: the camera; None: unknown.
        derivation: what follows from what, in words, such as "Normals follow from depth".

    Raises:
        LabelError: the camera is unknown.
    """
    if camera is None:
        raise LabelError(
            f"{derivation} through the image's camera, which is unknown.",
            next_step="Write `field_of_view = 66.0`, the degrees across each image's width, into "
            "`camera.toml` in the project's folder, or in a data set's, beside `images/` "
            "(docs/labels.md#cameras); or give your own layout a function `camera` "
            "(docs/plugins.md).",
        )
    return camera
