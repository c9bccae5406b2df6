"""PartAL: picks the most uncertain (image, task) cells of the whole grid.

Each task's uncertainties are normalised by a fixed min–max (Durasov, Dorndorf & Fua 2022). The
option `statistic` exchanges the uncertainty, for example for that of a deep ensemble.
"""

from labelgrid.select.parts import ComposedStrategy, uncertainty_strategy
from labelgrid.select.uncertainty_options import Options

__all__ = ["Options", "build"]


def build(options: Options) -> ComposedStrategy:
    """Build the strategy of Durasov, Dorndorf & Fua 2022.

    Source: PartAL section 3.2, eq. 1; uncertainties of A.1 with known labels fed in (section 3.3).
    """
    return uncertainty_strategy(options)
