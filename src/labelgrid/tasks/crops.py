"""Defines the crops of images to which published protocols limit a measurement. Loads no torch."""

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from labelgrid.basics.array_types import Bools
from labelgrid.basics.errors import UsageError
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import join_names

#: The edges of named crops, as shares of the height and of the width: top, bottom, left, right.
#: `eigen-nyu` is rows 45 to 471 and columns 41 to 601 of 480x640, `eigen-kitti` that of Eigen et
#: al. 2014, and `garg-kitti` that of Garg et al. 2016, as evaluations of depth write them.
NAMED = {
    "eigen-nyu": ("45/480", "471/480", "41/640", "601/640"),
    "eigen-kitti": ("0.3324324", "0.91351351", "0.0359477", "0.96405229"),
    "garg-kitti": ("0.40810811", "0.99189189", "0.03594771", "0.96405229"),
}
#: A number of pixels, or a share of the side.
Edge = int | Fraction
#: An edge as text: a number of pixels, or a share in percent.
EDGE = re.compile(r"(\d{1,6})|(\d{1,3}(?:\.\d{1,12})?)%")
SYNTAX = "TOP:BOTTOM,LEFT:RIGHT"


@dataclass(frozen=True)
class Crop:
    """A part of each image, by the edges at the top, bottom, left and right."""

    edges: tuple[Edge, ...]

    def mask(self, size: Size) -> Bools:
        """The pixels of an image [h, w] that belong to the crop; shares are rounded down.

        Raises:
            UsageError: the crop reaches out of the image, or holds no pixel.

        Example:
            >>> read_crop("1:3,25%:100%").mask((4, 4)).astype(int).tolist()
            [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
        """
        height, width = size
        sides = (height, height, width, width)
        top, bottom, left, right = map(_pixels, self.edges, sides)
        if not (top < bottom <= height and left < right <= width):
            raise UsageError(
                f"The crop {top}:{bottom},{left}:{right} is no part of an image of "
                f"{height}x{width} pixels.",
                next_step="Name a part of every image; edges in percent fit images of any size, "
                "such as --crop 10%:90%,5%:95%.",
                unchanged="Nothing was written.",
            )
        mask = np.zeros(size, np.bool_)
        mask[top:bottom, left:right] = True
        return mask


def _pixels(edge: Edge, side: int) -> int:
    return edge if isinstance(edge, int) else int(edge * side)


def read_crop(text: str) -> Crop:
    """Read the name of a crop, or `TOP:BOTTOM,LEFT:RIGHT` in pixels or percent.

    Raises:
        UsageError: the text is neither.

    Example:
        >>> read_crop("45:471,41:601").edges
        (45, 471, 41, 601)
    """
    if text in NAMED:
        return Crop(tuple(map(Fraction, NAMED[text])))
    parts = [EDGE.fullmatch(part) for part in re.split("[:,]", text)]
    if not re.fullmatch("[^:,]+:[^:,]+,[^:,]+:[^:,]+", text) or not all(parts):
        raise UsageError(
            f"--crop is a name or {SYNTAX}. Found '{text:.80}'.",
            next_step=f"Name one of {join_names(list(NAMED))}, or give its edges in pixels, such "
            "as 45:471,41:601, or in percent, such as 10%:90%,5%:95%.",
            unchanged="Nothing was written.",
        )
    edges = tuple(_edge(part) for part in parts if part)
    if _is_empty(*edges[:2]) or _is_empty(*edges[2:]):
        raise UsageError(
            f"The crop {text} holds no pixel of any image.",
            next_step=f"Give edges as {SYNTAX}, each before the one after its colon.",
            unchanged="Nothing was written.",
        )
    return Crop(edges)


def _is_empty(first: Edge, last: Edge) -> bool:
    # Edges of two units have pixels between them in some images.
    return isinstance(first, int) == isinstance(last, int) and first >= last


def _edge(match: re.Match[str]) -> Edge:
    pixels, percent = match.groups()
    return int(pixels) if pixels else Fraction(percent) / 100
