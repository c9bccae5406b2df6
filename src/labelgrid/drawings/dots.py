"""Draws means with a spread as points: a row for each name, a mark for each series."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure

from labelgrid.drawings.charts import MARKERS
from labelgrid.drawings.drawing import COLOURS, style_axes
from labelgrid.drawings.wording import shorten_name, spread

#: The distance of two series in a row, and the room for all of them, as parts of the row's height.
SPACE = 0.12
ROOM = 0.7
#: How marks are filled: when the colours start over, they look different.
FILLS: tuple[Literal["full", "none", "left"], ...] = ("full", "none", "left")


@dataclass(frozen=True)
class Dots:
    """Means with their standard deviations.

    Args:
        name: the name of its files, without extension.
        x_label: what the values are, with their unit.
        marks: the mean and its standard deviation (NaN for none), by series, then by row.
        title: the drawing's title; "" for none.

    Example:
        >>> marks = {"picked": {"partal": (0.5, 0.125)}, "pool": {"partal": (0.25, math.nan)}}
        >>> Dots("a", "RMSE (m)", marks).alt
        'RMSE (m): partal 0.5 ± 0.12 (picked), 0.25 (pool)'
    """

    name: str
    x_label: str
    marks: Mapping[str, Mapping[str, tuple[float, float]]]
    title: str = ""

    @property
    def rows(self) -> list[str]:
        """The names of the rows, in the order of the series."""
        rows: dict[str, None] = {}
        for values in self.marks.values():
            rows |= dict.fromkeys(values)
        return list(rows)

    @property
    def alt(self) -> str:
        """Each mean and spread, in words."""
        rows = []
        for row in self.rows:
            spreads = []
            for mark, values in self.marks.items():
                if row in values:
                    suffix = f" ({mark})" if len(self.marks) > 1 else ""
                    spreads.append(spread(*values[row]) + suffix)
            rows.append(f"{row} {', '.join(spreads)}")
        start = f"{self.title}: " if self.title else ""
        return f"{start}{self.x_label}: {'; '.join(rows)}"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches, with room for the legend."""
        marks = len(self.marks)
        legend = 0.22 * ((marks + 1) // 2) if marks > 1 else 0.0
        return 5.2, 1.2 + legend + 0.3 * max(1.0, SPACE * marks / ROOM) * len(self.rows)

    def draw(self, figure: Figure) -> None:
        """Draw a point with an error bar for each mean."""
        axes = figure.subplots()
        rows = self.rows
        space = min(SPACE, ROOM / len(self.marks))
        for index, (mark, values) in enumerate(self.marks.items()):
            means = []
            deviations = []
            positions = []
            for row, (mean, deviation) in values.items():
                means.append(mean)
                deviations.append(deviation if math.isfinite(deviation) else 0.0)
                positions.append(rows.index(row) + space * (index - (len(self.marks) - 1) / 2))
            repeat, style = divmod(index, len(COLOURS))
            axes.errorbar(
                means,
                positions,
                xerr=deviations,
                color=COLOURS[style],
                fmt=MARKERS[style],
                markersize=5,
                markerfacecoloralt="white",
                fillstyle=FILLS[repeat % len(FILLS)],
                linewidth=1.3,
                label=mark,
            )
        axes.set_yticks(range(len(rows)), [shorten_name(row) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        style_axes(axes, self.x_label)
        if len(self.marks) > 1:
            figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
