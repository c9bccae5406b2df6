"""Random (image, task) cells: PartAL's ablation of partial labels alone (figure 13).

There are no options.
"""

from dataclasses import dataclass

from labelgrid.select.parts import AsIs, Composed, Draw, draw_cells


@dataclass(frozen=True)
class Options:
    """No options."""


def build(options: Options) -> Composed:
    """Uniform draws over the missing cells, keyed by image and task."""
    return Composed(frozenset(), Draw(draw_cells), AsIs(), "cells", "random cell")
