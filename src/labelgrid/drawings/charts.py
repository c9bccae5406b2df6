"""Draws line charts over labels, cost, rounds or epochs, with bands, levels and marks, and bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labelgrid.basics.array_types import Bools
from labelgrid.drawings.drawing import COLOURS, INK, row_major, style_axes
from labelgrid.drawings.wording import number, shorten_name

#: Markers, so that lines can be told apart in greyscale too.
MARKERS = "os^DvPX"
#: Lines with this many points or more are drawn without markers.
MAX_MARKED_POINTS = 31
#: More lines are drawn without bands, which would hide each other.
MAX_BANDS = 7


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line; a point whose value is NaN leaves a gap.

    Args:
        name: its name in the legend.
        x, y: the points, joined in order.
        low, high: the edges of a band around the line, or of a bar at a point without neighbours;
            empty for none.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Level:
    """A reference value, drawn as a dashed horizontal line."""

    name: str
    value: float


@dataclass(frozen=True)
class Marks:
    """Places on the x-axis that are marked with dotted vertical lines, and why."""

    name: str
    x: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A line chart.

    Args:
        name: the name of its files, without extension.
        x_label, y_label: the axis labels, with units.
        lines: the lines, in the order of the legend.
        levels: dashed reference levels.
        marks: marked places; None for none.
        whole: whether x is a count, with ticks at whole numbers only.
        title: the chart's title; "" for none.
        least_height: the y-axis covers at least this much, so that noise does not look like a
            change.

    Example:
        >>> line = Line(name="depth", x=[1, 2], y=[0.5, 0.25])
        >>> Chart(name="a", x_label="epoch", y_label="loss", lines=[line]).alt
        'loss against epoch: from 0.5 at 1 to 0.25 at 2'
    """

    name: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    levels: Sequence[Level] = ()
    marks: Marks | None = None
    whole: bool = False
    title: str = ""
    least_height: float = 0.0

    @property
    def alt(self) -> str:
        """The first and the last point of each line, in words."""
        parts = []
        for line in self.lines:
            if len(line.y):
                name = f"{line.name} " if self._has_legend else ""
                first = f"{number(line.y[0])} at {number(line.x[0])}"
                last = f"{number(line.y[-1])} at {number(line.x[-1])}"
                parts.append(f"{name}from {first} to {last}")
        parts += [f"{level.name} at {number(level.value)}" for level in self.levels]
        if self.marks:
            parts.append(f"{self.marks.name} at {', '.join(map(number, self.marks.x))}")
        start = f"{self.title}: " if self.title else ""
        return f"{start}{self.y_label} against {self.x_label}: {'; '.join(parts)}"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches, with room for the legend."""
        rows = 0
        if self._has_legend:
            rows = (self._entries + 1) // 2
        return 4.2, 2.6 + 0.22 * rows

    @property
    def _has_legend(self) -> bool:
        return self._entries > 1

    @property
    def _entries(self) -> int:
        return len(self.lines) + len(self.levels) + bool(self.marks)

    def draw(self, figure: Figure) -> None:
        """Draw the lines, levels and marks."""
        axes = figure.subplots()
        for index, line in enumerate(self.lines):
            _draw_line(axes, line, index)
        for level in self.levels:
            axes.axhline(
                level.value, color=INK, linewidth=1.3, linestyle=(0, (5, 3)), label=level.name
            )
        if self.marks:
            name = self.marks.name
            for x in self.marks.x:
                axes.axvline(x, color=INK, linewidth=1.2, linestyle=":", label=name)
                name = ""  # the legend names the first
        axes.set_ylabel(self.y_label, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        style_axes(axes, self.x_label, whole=self.whole)
        axes.margins(x=0.06, y=0.12)
        low, high = axes.get_ylim()
        lacking = self.least_height - (high - low)
        if lacking > 0:
            axes.set_ylim(low - lacking / 2, high + lacking / 2)
        if self._has_legend:
            figure.legend(
                handles=row_major(axes.get_legend_handles_labels()[0], 2),
                loc="outside upper left",
                ncols=2,
                frameon=False,
                fontsize=9,
                handlelength=2.6,
            )


def _draw_line(axes: Axes, line: Line, index: int) -> None:
    """The index chooses colour and marker, and a dashed stroke when the colours start over."""
    repeat, style = divmod(index, len(COLOURS))
    colour = COLOURS[style]
    axes.plot(
        line.x,
        line.y,
        color=colour,
        linewidth=1.8,
        linestyle="-." if repeat else "-",
        marker=MARKERS[style] if len(line.x) < MAX_MARKED_POINTS else "",
        markersize=5,
        label=shorten_name(line.name),
    )
    if len(line.low):
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        isolated = _find_isolated(line.y)  # such points have no band
        if isolated.any():
            x = np.asarray(line.x, float)[isolated]
            low = np.asarray(line.low, float)[isolated]
            high = np.asarray(line.high, float)[isolated]
            axes.vlines(x, low, high, color=colour, alpha=0.5, linewidth=1.5)


def _find_isolated(y: Sequence[float]) -> Bools:
    """Which points have a gap, or the end of the line, on both sides.

    Example:
        >>> _find_isolated([1.0, float("nan"), 2.0, 3.0]).tolist()
        [True, False, False, False]
    """
    finite = np.pad(np.isfinite(y), 1)
    return finite[1:-1] & ~finite[:-2] & ~finite[2:]


@dataclass(frozen=True)
class Bars:
    """Stacked bars of equal length that show the share of each part.

    Args:
        name: the name of its files, without extension.
        rows: the amount of each part, by row name.
        colours: the colour of each part, in drawing order.

    Example:
        >>> colours = {"labelled": "#0072b2", "missing": "#d9d9d9"}
        >>> Bars("cells", {"depth": {"labelled": 1, "missing": 3}}, colours).alt
        'depth: 25 % labelled, 75 % missing'
    """

    name: str
    rows: Mapping[str, Mapping[str, float]]
    colours: Mapping[str, str]
    title: str = ""

    def percentages(self, row: str) -> dict[str, float]:
        """The share of each part in percent; 0 for an empty row."""
        parts = self.rows[row]
        total = sum(parts.values())
        if not total:
            return dict.fromkeys(self.colours, 0.0)
        return {part: 100 * parts[part] / total for part in self.colours}

    @property
    def alt(self) -> str:
        """The percentages of each row, in words."""
        rows = []
        for row in self.rows:
            percentages = []
            for part, percentage in self.percentages(row).items():
                if percentage:
                    percentages.append(f"{number(percentage)} % {part}")
            rows.append(f"{row}: {', '.join(percentages) or 'nothing'}")
        return "; ".join(rows)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return 5.2, 0.85 + 0.3 * len(self.rows)

    def draw(self, figure: Figure) -> None:
        """Draw a stacked bar for each row."""
        axes = figure.subplots()
        names = list(self.rows)
        positions = range(len(names))
        starts = [0.0] * len(names)
        for part, colour in self.colours.items():
            widths: Sequence[float] = [self.percentages(name)[part] for name in names]
            axes.barh(positions, widths, left=starts, color=colour, label=part, height=0.66)
            starts = list(map(add, starts, widths))
        axes.set_yticks(positions, [shorten_name(name) for name in names])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
        axes.tick_params(colors=INK, length=0)
        axes.spines[:].set_visible(False)
        figure.legend(
            loc="outside upper left",
            ncols=len(self.colours),
            frameon=False,
            fontsize=9,
            handlelength=1.0,
        )
