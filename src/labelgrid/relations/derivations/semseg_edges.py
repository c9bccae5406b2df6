"""Derives edges from classes: pixels beside a pixel of another class.

People often leave the borders of objects unlabelled. Such thin gaps are filled first, each pixel
with the nearest class; of equally near ones, with the first of the list. So the edge runs through
the middle of the gap. Pixels deep in wider gaps, or beside such gaps, are not valid.

With predicted probabilities, an edge is as sure as the classes change: 1 - the overlap of the
probabilities of a pixel and of its least similar neighbour. Soft borders are not valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.relation import Relation, Tried

if TYPE_CHECKING:
    from torch import Tensor

    from labelgrid.pixel.target import Target

#: A class that no pixel has: there is none.
NO_CLASS = 65535
#: What `relate` tries.
SIDES: Sequence[Tried] = tuple({"side": side} for side in ("either", "both", "first", "second"))
REACHES: Sequence[Tried] = tuple({"reach": reach} for reach in (4, 0, 1, 2, 8))
Classes = NDArray[np.uint16]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Options:
    """The gaps that are filled, and the side of a border where edges are.

    Args:
        reach: the pixels to fill from each side of a gap; gaps of at most twice this width are
            closed.
        side: the pixels beside a border that the task's labels mark: `"both"`; `"first"`, those
            left of it or above; `"second"`, those right of it or below; `"either"`, an unknown one
            of both: the pixels of the class that comes first in the list are edges, and the pixels
            across the border are not valid.
    """

    reach: int = 4
    side: Literal["either", "both", "first", "second"] = "either"

    def __post_init__(self) -> None:
        if not 0 <= self.reach <= 50:
            raise ValueError(f"reach must be from 0 to 50 pixels; it is {self.reach}")


def derive_edges(
    options: Options, labels: Sequence[LabelArray], _camera: Camera | None
) -> LabelArray:
    """The edges of a class map.

    If some classes were not annotated, nothing is valid: any pixel may be beside one of them.
    """
    (label,) = labels
    filled = np.where(label.valid, label.value[..., 0], NO_CLASS).astype(np.uint16)
    for _ in range(options.reach):
        filled = np.where(filled == NO_CLASS, _smallest_around(filled), filled)
    unsure = _wide_gaps(filled == NO_CLASS, label.valid, options.reach)
    edge, unknown = _border_sides(filled, options.side)
    valid = ~(unsure | unknown)
    if label.annotated is not None and not label.annotated.all():
        valid[:] = False
    return LabelArray((edge & valid).astype(np.float32)[..., None], valid)


def predicted_edges(
    options: Options, predictions: Sequence[Tensor], _camera: Tensor | None
) -> Target:
    """As `derive_edges`, of class probabilities, with gradients; these have no gaps."""
    from labelgrid.pixel.class_borders import class_borders

    (probabilities,) = predictions
    return class_borders(probabilities, options.side)


def _smallest_around(classes: Classes) -> Classes:
    """The smallest number of each pixel and its eight neighbours."""
    return np.asarray(cv2.erode(classes, np.ones((3, 3), np.uint8)), np.uint16)


def _wide_gaps(deep: Mask, labelled: Mask, reach: int) -> Mask:
    """The gaps around unreached pixels, and the pixels beside these gaps."""
    gap = _grow(deep, reach) & ~labelled
    return _grow(gap, 1)


def _grow(mask: Mask, pixels: int) -> Mask:
    """The mask, grown by a number of pixels to all sides."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), square) > 0


def _border_sides(classes: Classes, side: str) -> tuple[Mask, Mask]:
    """The edges, and the pixels beside borders that may be edges."""
    padded = np.pad(classes, 1, mode="edge")
    before = (padded[1:-1, :-2], padded[:-2, 1:-1])
    after = (padded[1:-1, 2:], padded[2:, 1:-1])
    looked_at = {"first": after, "second": before}.get(side, before + after)
    beside = np.any([classes != other for other in looked_at], axis=0)
    if side != "either":
        return beside, np.zeros_like(beside)
    edge = np.any([classes < other for other in looked_at], axis=0)
    return edge, beside & ~edge


def build(options: Options) -> Relation:
    """The relation from classes to edges."""
    return Relation(
        reads=("semseg",),
        gives="edges",
        between=lambda _reads, _gives: partial(derive_edges, options),
        on_predictions=lambda _reads, _gives: partial(predicted_edges, options),
        guesses=True,
        tries=(*SIDES, *REACHES),
    )
