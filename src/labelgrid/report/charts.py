"""How figures are drawn over labels, cost, rounds or epochs: lines with points and bands, and dashed levels."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from labelgrid.report.drawing import COLOURS, INK, RULE, in_rows
from labelgrid.report.wording import number, short

#: Beside the colours, so that lines are told apart in grey.
MARKERS = "os^DvPX"
#: A line of so many points is drawn without them.
CROWDED = 31


@dataclass(frozen=True)
class Line:
    """A line; points whose value is no number leave a gap.

    Args:
        name: as the legend says it.
        x, y: joined in their order.
        low, high: the ends of a band around it; none where empty.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Level:
    """A value that everything is to be seen against: a dashed line."""

    name: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Args:
        name: of its files.
        x_label, y_label: what the axes are, with units.
        whole: x counts something, so that it is marked at whole numbers only.

    Example:
        >>> Chart("a", "epoch", "loss", [Line("depth", [1, 2], [0.5, 0.25])]).alt
        'loss against epoch: from 0.5 at 1 to 0.25 at 2'
    """

    name: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    levels: Sequence[Level] = ()
    whole: bool = False
    title: str = ""

    @property
    def alt(self) -> str:
        """As `Drawing.alt`: where each line begins and ends."""
        named = len(self.lines) > 1
        said = [(f"{line.name} " if named else "") + _ends(line) for line in self.lines if len(line.y)]
        said += [f"{level.name} at {number(level.value)}" for level in self.levels]
        start = f"{self.title}: " if self.title else ""
        return f"{start}{self.y_label} against {self.x_label}: {'; '.join(said)}"

    @property
    def size(self) -> tuple[float, float]:
        """As `Drawing.size`: a legend gets room of its own."""
        rows = (len(self.lines) + len(self.levels) + 1) // 2 if self._named else 0
        return 4.2, 2.6 + 0.22 * rows

    @property
    def _named(self) -> bool:
        return len(self.lines) + len(self.levels) > 1

    def draw(self, figure: Figure) -> None:
        """As `Drawing.draw`."""
        axes = figure.subplots()
        for index, line in enumerate(self.lines):
            _draw_line(axes, line, index)
        for level in self.levels:
            axes.axhline(level.value, color=INK, linewidth=1.3, linestyle=(0, (5, 3)), label=level.name)
        axes.set_xlabel(self.x_label, color=INK)
        axes.set_ylabel(self.y_label, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=self.whole))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
        axes.margins(x=0.06, y=0.12)
        if self._named:
            handles = in_rows(axes.get_legend_handles_labels()[0], 2)
            figure.legend(
                handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=9, handlelength=2.6
            )


def _ends(line: Line) -> str:
    return f"from {number(line.y[0])} at {number(line.x[0])} to {number(line.y[-1])} at {number(line.x[-1])}"


def _draw_line(axes: Axes, line: Line, index: int) -> None:
    """One line in the colour, marker and, beyond the colours there are, the stroke of its place."""
    turn, place = divmod(index, len(COLOURS))
    colour = COLOURS[place]
    axes.plot(
        line.x,
        line.y,
        color=colour,
        linewidth=1.8,
        linestyle="-." if turn else "-",
        marker=MARKERS[place] if len(line.x) < CROWDED else "",
        markersize=5,
        label=short(line.name),
    )
    if len(line.low):
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
