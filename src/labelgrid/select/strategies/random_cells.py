"""Picks random (image, task) cells.

It is PartAL's ablation with partial labels only (figure 13), and has no options.
"""

from dataclasses import dataclass

from labelgrid.select.parts import ComposedStrategy, Draw, draw_cells


@dataclass(frozen=True)
class Options:
    """No options."""


def build(options: Options) -> ComposedStrategy:
    """Build the strategy: uniform draws over the missing cells, keyed by image and task."""
    return ComposedStrategy(
        scorer=Draw(draw_cells),
        unit="cells",
        why="random cell",
        valued=False,
        skips_following=True,
    )
