"""Picks random images with all their missing labels.

It is the baseline of every comparison (PartAL section 4.1), and has no options.
"""

from dataclasses import dataclass

from labelgrid.select.parts import ComposedStrategy, Draw, draw_images


@dataclass(frozen=True)
class Options:
    """No options."""


def build(options: Options) -> ComposedStrategy:
    """Build the strategy: uniform draws over the images, keyed by image."""
    return ComposedStrategy(
        scorer=Draw(draw_images),
        unit="images",
        why="random image",
        valued=False,
        skips_following=True,
    )
