"""Defines the interface of drawings, and renders them as SVG or PNG."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

T = TypeVar("T")
#: Okabe & Ito's palette, distinguishable with any colour vision; without its yellow, which is too
#: faint on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
INK = "#333333"
RULE = "#dddddd"
#: What a title adds to a drawing's height, in inches.
TITLE_HEIGHT = 0.22
#: Pixels of an inch of a PNG file.
PNG_DPI = 200

# Text stays text, names are not parsed as formulas, and equal drawings give equal files.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "labelgrid",
    "text.parse_math": False,
    "font.size": 10,
}


class Drawing(Protocol):
    """Plain data that can draw itself on a Matplotlib figure."""

    @property
    def name(self) -> str:
        """The name of its files, without extension."""

    @property
    def title(self) -> str:
        """The title above the drawing; "" for none."""

    @property
    def alt(self) -> str:
        """A description for readers who do not see the drawing."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches, at a text size of 10 points."""

    def draw(self, figure: Figure) -> None:
        """Draw on an empty Matplotlib figure."""


def row_major(entries: Sequence[T], columns: int) -> list[T]:
    """Reorder legend entries, so that readers go row by row.

    Matplotlib fills the columns one after the other.

    Example:
        >>> row_major("abcde", 2)
        ['a', 'c', 'e', 'b', 'd']
    """
    reordered: list[T] = []
    for column in range(columns):
        reordered += entries[column::columns]
    return reordered


def drawing_bytes(drawing: Drawing, kind: Literal["svg", "png"], title: bool = False) -> bytes:
    """The bytes of a drawing's file; `title` adds the title for use outside a page."""
    with mpl.rc_context(STYLE):
        width, height = drawing.size
        has_title = bool(title and drawing.title)
        figure = Figure(figsize=(width, height + TITLE_HEIGHT * has_title), layout="constrained")
        drawing.draw(figure)
        if has_title and figure.legends:  # both take the same place
            figure.legends[0].set_title(drawing.title)
            figure.legends[0].set_alignment("left")
        elif has_title:
            figure.suptitle(drawing.title, color=INK, fontsize=10)
        # `Figure.savefig` would draw everything twice: for the layout, which drawing once finds as
        # well, and for the file.
        file = io.BytesIO()
        if kind == "png":
            figure.set_dpi(PNG_DPI)
            FigureCanvasAgg(figure).print_png(file)
            return file.getvalue()
        if not title:
            for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
                patch.set(facecolor="none", edgecolor="none")
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
        return file.getvalue()


def style_axes(axes: Axes, x_label: str, *, whole: bool = False) -> None:
    """Give axes a label, few ticks, a grid in the background, and no frame at the top and right.

    If x is `whole`, ticks are at whole numbers only.
    """
    axes.set_xlabel(x_label, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


def drawing_files(drawings: Iterable[Drawing]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each drawing as SVG and as PNG (200 dpi)."""
    taken: set[str] = set()
    for drawing in drawings:
        name = re.sub(r"[^\w.-]+", "-", drawing.name).strip("-.")
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        yield f"{name}.svg", drawing_bytes(drawing, "svg", title=True)
        yield f"{name}.png", drawing_bytes(drawing, "png", title=True)
