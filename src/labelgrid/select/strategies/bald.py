"""BALD: picks the cells whose predictions disagree most, by mutual information for classes, by variance for values.

It is PartAL's strategy with another measure of the same passes: a pixel that is unsure in the same
way in every pass counts nothing.
"""

from labelgrid.select.parts import Composed, most_uncertain
from labelgrid.select.uncertainty import Options

__all__ = ["Options", "build"]


def build(options: Options) -> Composed:
    """Build the strategy.

    Source: Houlsby et al. 2011, eq. 2; over dropout passes, Gal et al. 2017. The variance for tasks
    of values is ours.
    """
    return most_uncertain(options, why="predictions disagree most", measure="information")
