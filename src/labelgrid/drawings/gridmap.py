"""Draws the grid of images × tasks, coloured by the round in which each cell was requested."""

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
    """A picture of the grid: one column per image, one row per task, the earliest requests on the left."""

    name: str
    requests: RequestHistory
    title: str = ""

    @property
    def alt(self) -> str:
        """As `Drawing.alt`."""
        rows = []
        for task, kinds in self.requests.counts().items():
            counts = [f"{count} {kind}" for kind, count in kinds.items() if count]
            rows.append(f"{task}: {', '.join(counts) or 'no cells'}")
        return f"The grid{f' of {self.title}' if self.title else ''}. {'; '.join(rows)}"

    @property
    def size(self) -> tuple[float, float]:
        """As `Drawing.size`."""
        return 5.2, 1.05 + 0.3 * len(self.requests.tasks) + 0.22 * ((len(self._shown) - 1) // 4)

    @property
    def _shown(self) -> list[str]:
        by_task = self.requests.counts().values()
        return [kind for kind in self.requests.kinds if any(counts[kind] for counts in by_task)]

    def colours(self) -> dict[str, str]:
        """The colour of each kind: rounds from dark to bright, distinguishable in greyscale too."""
        rounds = [kind for kind in self.requests.kinds if kind not in OTHERS]
        scale = mpl.colormaps["cividis"](np.linspace(0, 0.97, max(len(rounds), 2)))
        drawn = [mpl.colors.to_hex(colour) for colour in scale[: len(rounds)]]
        return dict(zip(rounds, drawn, strict=True)) | COLOURS

    def draw(self, figure: Figure) -> None:
        """As `Drawing.draw`."""
        axes = figure.subplots()
        colours = self.colours()
        codes = self.requests.codes()
        tasks = self.requests.tasks
        order = np.lexsort(
            [codes[:, column] for column in reversed(range(len(tasks)))]
            + [codes.min(1, initial=99)]
        )
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
        for place in range(1, len(tasks)):
            axes.axhline(place - 0.5, color="white", linewidth=2)
        axes.set_xlabel("images, earliest requests on the left", color=INK)
        axes.tick_params(colors=INK, length=0)
        axes.spines[:].set_visible(False)
        keys = [Patch(color=colours[kind], label=kind) for kind in self._shown]
        figure.legend(
            handles=row_major(keys, 4),
            loc="outside upper left",
            ncols=4,
            frameon=False,
            fontsize=9,
            handlelength=1.0,
        )
