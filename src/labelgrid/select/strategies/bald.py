"""BALD: picks the cells whose predictions disagree most.

The measure is the mutual information for tasks of classes, and the variance for tasks of values. It
is PartAL's strategy with another measure of the same passes: a pixel that is unsure in the same way
in every pass counts nothing.
"""

from labelgrid.select.parts import ComposedStrategy, uncertainty_strategy
from labelgrid.select.uncertainty_options import Options

__all__ = ["Options", "build"]


def build(options: Options) -> ComposedStrategy:
    """Build the strategy.

    Source: Houlsby et al. 2011, eq. 2; over dropout passes, Gal et al. 2017. The variance for tasks
    of values is ours.
    """
    return uncertainty_strategy(options, why="predictions disagree most", measure="information")
