"""Derives the salient object from classes, such as people.

`relate` finds the classes from images with true labels of both tasks.

In an image without such classes, something else may be salient: no pixel is valid. With predicted
probabilities, saliency is the sum of the probabilities of the salient classes; an image has none if
the sum is below 0.5 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from labelgrid.basics.array_types import Ints
from labelgrid.basics.camera import Camera
from labelgrid.basics.type_names import Values
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.class_tables import class_index, count_classes, look_up_classes, sum_counts
from labelgrid.relations.relation import OptionFinder, Relation, TrueExample
from labelgrid.tasks.task import TaskDef

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target

#: A class is tried as salient if at least this share of its pixels is.
SHARES = (0.5, 0.25, 0.1, 0.75, 0.9)


@dataclass(frozen=True)
class Options:
    """The salient classes.

    Args:
        classes: the classes whose pixels are salient. In an image with such pixels, all further
            labelled pixels are not salient; an image without gets no label.
        others: instead of `classes`, the classes whose pixels are not salient, such as a
            background; all further classes are salient.
    """

    classes: tuple[str, ...] = ("person",)
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("classes must name at least one class")


def derive_saliency(
    salient: Ints, labels: Sequence[LabelArray], _camera: Camera | None
) -> LabelArray:
    """The pixels of the classes that a table [classes] marks with 1."""
    (label,) = labels
    marked = look_up_classes(label, salient)
    valid = marked.valid & bool(marked.value[marked.valid].any())
    return LabelArray(marked.value.astype(np.float32), valid)


def predicted_saliency(
    salient: Ints, predictions: Sequence[Tensor], _camera: Tensor | None
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
    return Relation(
        reads=("semseg",),
        gives="saliency",
        between=lambda reads, _gives: partial(derive_saliency, _salient_classes(options, reads)),
        on_predictions=lambda reads, _gives: partial(
            predicted_saliency, _salient_classes(options, reads)
        ),
        guesses=True,
        finder=_finder,
    )


def _finder(reads: Sequence[TaskDef], _gives: TaskDef) -> OptionFinder:
    """Finds the salient classes by the salient shares of pixels."""
    (semseg,) = reads
    names = semseg.class_names

    def read(example: TrueExample) -> Ints:
        salient = example.truth.value[..., 0] >= 0.5
        size = (len(names), 2)
        return count_classes(example.labels[0], salient.astype(np.int64), example.truth, size)

    def propose(readings: Sequence[Ints]) -> list[Values]:
        return _proposed(sum_counts(readings), names)

    return OptionFinder(finds=("classes", "others"), read=read, propose=propose)


def _proposed(counts: Ints, names: Sequence[str]) -> list[Values]:
    """Options by counts [classes, 2] of pixels that are not salient and of salient pixels.

    The first set of classes has the largest IoU over all pixels: adding a class raises the IoU if
    the salient share of the class's pixels is larger than the IoU without the class. The shorter
    list of classes is taken.
    """
    total = counts.sum(1)
    fractions = counts[:, 1] / np.maximum(total, 1)
    order = np.argsort(-fractions, kind="stable")
    hits = np.cumsum(counts[order, 1])
    union = counts[:, 1].sum() + np.cumsum(counts[order, 0])
    best = fractions[order[np.argmax(hits / np.maximum(union, 1))]]
    proposals: list[Values] = []
    for least in (best, *SHARES):
        chosen = (fractions > 0) & (fractions >= least)
        salient = []
        for name, is_it in zip(names, chosen, strict=True):
            if is_it:
                salient.append(name)
        rest = (total > 0) & ~chosen
        others = []
        for name, is_it in zip(names, rest, strict=True):
            if is_it:
                others.append(name)
        options = {"others": others} if 0 < len(others) < len(salient) else {"classes": salient}
        if salient and options not in proposals:
            proposals.append(options)
    return proposals


def _salient_classes(options: Options, reads: Sequence[TaskDef]) -> Ints:
    """Int64 [classes]: 1 for those whose pixels are salient.

    Raises:
        RecipeError: the options name a class that the task does not have.
    """
    (semseg,) = reads
    option = "others" if options.others else "classes"
    salient = np.full(len(semseg.class_names), int(bool(options.others)), np.int64)
    for name in getattr(options, option):
        salient[class_index(semseg, name, option)] = int(not options.others)
    return salient
