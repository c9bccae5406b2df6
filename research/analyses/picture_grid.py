"""Draws pictures in rows and columns, each with a caption."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labelgrid.drawings.drawing import INK

#: The width of a picture in inches.
WIDTH = 1.7


@dataclass(frozen=True)
class Picture:
    """A picture, RGB, uint8 [h, w, 3], and the text above it."""

    pixels: NDArray[np.uint8]
    caption: str = ""


@dataclass(frozen=True)
class PictureGrid:
    """Pictures in rows; a missing one is left blank. A `Drawing`.

    Args:
        name: the name of its files, without extension.
        title: above the grid.
        rows: the name of each row, "" for none, and its pictures.

    Example:
        >>> black = Picture(np.zeros((2, 3, 3), np.uint8), "3.5 %")
        >>> PictureGrid("frames", "", [("label", [black, None])]).alt
        'label: 3.5 %'
    """

    name: str
    title: str
    rows: Sequence[tuple[str, Sequence[Picture | None]]]

    @property
    def alt(self) -> str:
        """As `Drawing.alt`."""
        rows = []
        for name, pictures in self.rows:
            captions = [picture.caption for picture in pictures if picture and picture.caption]
            parts = [name, ", ".join(captions)]
            rows.append(": ".join(filter(None, parts)))
        return "; ".join(rows)

    @property
    def size(self) -> tuple[float, float]:
        """As `Drawing.size`."""
        columns = max(len(pictures) for _, pictures in self.rows)
        shape = self._shape()
        return 0.9 + WIDTH * columns, 0.4 + len(self.rows) * (WIDTH * shape[0] / shape[1] + 0.25)

    def _shape(self) -> tuple[int, ...]:
        """The shape of the first picture."""
        for _, pictures in self.rows:
            for picture in pictures:
                if picture:
                    return picture.pixels.shape
        return (3, 4, 3)

    def draw(self, figure: Figure) -> None:
        """As `Drawing.draw`."""
        columns = max(len(pictures) for _, pictures in self.rows)
        grid = figure.subplots(len(self.rows), columns, squeeze=False)
        for axes in grid.flat:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        for line, (name, pictures) in zip(grid, self.rows, strict=True):
            line[0].set_ylabel(name, color=INK, fontsize=9)
            for axes, picture in zip(line, pictures, strict=False):
                if picture:
                    axes.imshow(picture.pixels)
                    axes.set_title(picture.caption, color=INK, fontsize=8, pad=2)
