"""Draws the grid of images × tasks, coloured by the round in which each cell was requested."""

from collections import Counter
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from labelgrid.drawings.drawing import INK, row_major
from labelgrid.drawings.request_history import NEVER, OTHERS, SKIPPED, WAITING, RequestHistory
from labelgrid.drawings.wording import shorten_name

COLOURS = {WAITING: "#cc79a7", SKIPPED: "#d55e00", NEVER: "#e4e4e4"}


@dataclass(frozen=True)
class GridMap:
    """A picture of the grid: a column for each image, a row for each task.

    The images with the earliest requests are on the left.
    """

    name: str
    requests: RequestHistory
    title: str = ""

    @property
    def alt(self) -> str:
        """The numbers of cells of each kind, in words."""
        rows = []
        for task, kinds in self.requests.counts().items():
            counts = [f"{count} {kind}" for kind, count in kinds.items() if count]
            rows.append(f"{task}: {', '.join(counts) or 'no cells'}")
        title = f" of {self.title}" if self.title else ""
        return f"The grid{title}. {'; '.join(rows)}"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        more_legend_rows = (len(self._existing_kinds) - 1) // 4
        return 5.2, 1.05 + 0.3 * len(self.requests.tasks) + 0.22 * more_legend_rows

    @property
    def _existing_kinds(self) -> list[str]:
        totals: Counter[str] = Counter()
        for counts in self.requests.counts().values():
            totals.update(counts)
        return [kind for kind in self.requests.kinds if totals[kind]]

    def colours(self) -> dict[str, str]:
        """The colour of each kind: rounds from dark to bright, distinguishable in greyscale too."""
        rounds = [kind for kind in self.requests.kinds if kind not in OTHERS]
        scale = mpl.colormaps["cividis"](np.linspace(0, 0.97, max(len(rounds), 2)))
        round_colours = [mpl.colors.to_hex(colour) for colour in scale[: len(rounds)]]
        return dict(zip(rounds, round_colours, strict=True)) | COLOURS

    def draw(self, figure: Figure) -> None:
        """Draw a coloured rectangle for each cell, and the legend."""
        axes = figure.subplots()
        colours = self.colours()
        codes = self.requests.codes()
        tasks = self.requests.tasks
        earliest = codes.min(1, initial=99)
        order = np.lexsort([*codes.T[::-1], earliest])
        axes.imshow(
            codes[order].T,
            aspect="auto",
            interpolation="nearest",
            cmap=ListedColormap([colours[kind] for kind in self.requests.kinds]),
            vmin=-0.5,
            vmax=len(self.requests.kinds) - 0.5,
            extent=(0, max(len(order), 1), len(tasks) - 0.5, -0.5),
        )
        axes.set_yticks(range(len(tasks)), [shorten_name(task) for task in tasks])
        for index in range(1, len(tasks)):
            axes.axhline(index - 0.5, color="white", linewidth=2)
        axes.set_xlabel("images, earliest requests on the left", color=INK)
        axes.tick_params(colors=INK, length=0)
        axes.spines[:].set_visible(False)
        keys = [Patch(color=colours[kind], label=kind) for kind in self._existing_kinds]
        figure.legend(
            handles=row_major(keys, 4),
            loc="outside upper left",
            ncols=4,
            frameon=False,
            fontsize=9,
            handlelength=1.0,
        )
