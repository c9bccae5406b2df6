"""Draws shares of a whole as stacked bars, one bar per task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add

from matplotlib.figure import Figure

from labelgrid.drawings.drawing import INK
from labelgrid.drawings.wording import number, shorten_name


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

    def shares(self, row: str) -> dict[str, float]:
        """The share of each part in percent; 0 for an empty row."""
        parts = self.rows[row]
        total = sum(parts.values())
        if not total:
            return dict.fromkeys(self.colours, 0.0)
        return {part: 100 * parts[part] / total for part in self.colours}

    @property
    def alt(self) -> str:
        """As `Drawing.alt`."""
        rows = []
        for row in self.rows:
            shares = []
            for part, share in self.shares(row).items():
                if share:
                    shares.append(f"{number(share)} % {part}")
            rows.append(f"{row}: {', '.join(shares) or 'nothing'}")
        return "; ".join(rows)

    @property
    def size(self) -> tuple[float, float]:
        """As `Drawing.size`."""
        return 5.2, 0.85 + 0.3 * len(self.rows)

    def draw(self, figure: Figure) -> None:
        """As `Drawing.draw`."""
        axes = figure.subplots()
        names = list(self.rows)
        places = range(len(names))
        starts = [0.0] * len(names)
        for part, colour in self.colours.items():
            widths: Sequence[float] = [self.shares(name)[part] for name in names]
            axes.barh(places, widths, left=starts, color=colour, label=part, height=0.66)
            starts = list(map(add, starts, widths))
        axes.set_yticks(places, [shorten_name(name) for name in names])
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
