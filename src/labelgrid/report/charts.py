"""How a curve is drawn: one line with its points, as an SVG that any browser and printer shows sharply."""

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: Blue of Okabe & Ito's palette: seen alike with any colour vision.
LINE = "#0072b2"
INK, RULE = "#333333", "#dddddd"

# Text stays text, user's words are no formulas, and equal curves give equal files.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "labelgrid", "text.parse_math": False, "font.size": 10}


def line_chart(x: Sequence[float], y: Sequence[float], x_label: str, y_label: str, *, whole: bool = False) -> bytes:
    """A line chart as an SVG file.

    Args:
        x: ascending or not: the points are joined in their order.
        y: values that are not numbers leave a gap.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        whole: x counts something, so that it is marked at whole numbers only.

    Example:
        >>> line_chart([1, 2], [0.5, 0.4], "epoch", "loss").startswith(b"<?xml")
        True
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.0, 2.5), layout="constrained")
        axes = figure.subplots()
        few = len(x) <= 30
        axes.plot(x, y, color=LINE, linewidth=1.8, marker="o" if few else "", markersize=5)
        axes.set_xlabel(x_label, color=INK)
        axes.set_ylabel(y_label, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
        axes.margins(x=0.06, y=0.12)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()
