"""What a drawing is, and how one becomes a file: an SVG that any browser and printer shows sharply, or a PNG."""

import io
from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure

T = TypeVar("T")
#: Okabe & Ito's palette, told apart with any colour vision; its yellow is too faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
INK, RULE = "#333333", "#dddddd"

# Text stays text, user's words are no formulas, and equal drawings give equal files.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "labelgrid", "text.parse_math": False, "font.size": 10}


class Drawing(Protocol):
    """What can be drawn: plain data that knows how."""

    @property
    def name(self) -> str:
        """Of its files, without their ending."""

    @property
    def title(self) -> str:
        """Said above it; "" where its neighbourhood says enough."""

    @property
    def alt(self) -> str:
        """What it shows, in words."""

    @property
    def size(self) -> tuple[float, float]:
        """Its width and height in inches, at a text size of 10 points."""

    def draw(self, figure: Figure) -> None:
        """Draw on an empty figure."""


def in_rows(entries: Sequence[T], columns: int) -> list[T]:
    """Entries of a legend so that they are read row by row: Matplotlib fills one column after the other.

    Example:
        >>> in_rows("abcde", 2)
        ['a', 'c', 'e', 'b', 'd']
    """
    return [entry for column in range(columns) for entry in entries[column::columns]]


def file_of(drawing: Drawing, kind: Literal["svg", "png"], title: bool = False) -> bytes:
    """A drawing as a file, with its title where it stands alone."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=drawing.size, layout="constrained")
        drawing.draw(figure)
        if title and drawing.title:
            _put_title(figure, drawing.title)
        file = io.BytesIO()
        if kind == "svg":
            figure.savefig(file, format="svg", metadata={"Date": None}, transparent=not title)
        else:
            figure.savefig(file, format="png", dpi=200)
    return file.getvalue()


def _put_title(figure: Figure, title: str) -> None:
    """The title over all; where there is a legend, as its title: the two would take the same place."""
    if figure.legends:
        figure.legends[0].set_title(title)
        figure.legends[0].set_alignment("left")
    else:
        figure.suptitle(title, color=INK, fontsize=10)
