"""Margin: picks the cells whose two most probable classes are closest in probability.

It is PartAL's strategy with another measure of the same passes. Tasks with predicted values use the
variance instead, or 0 with `statistic = "confidence"` (one pass).
"""

from labelgrid.select.parts import ComposedStrategy, uncertainty_strategy
from labelgrid.select.uncertainty_options import Options

__all__ = ["Options", "build"]


def build(options: Options) -> ComposedStrategy:
    """Build the strategy.

    Source: Settles 2009, section 3.1 (Scheffer, Decomain & Wrobel 2001). The variance for tasks of
    values is ours.
    """
    return uncertainty_strategy(options, why="smallest margin", measure="margin")
