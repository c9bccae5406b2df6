"""Edge detection: binary labels, few of them positive, measured by average precision or by odsF.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labelgrid.basics.config import check_ranges
from labelgrid.tasks.agreement import line_agreement, nothing_or_everything
from labelgrid.tasks.checks import SHOWS_SOMETHING
from labelgrid.tasks.figures import line_width, positive_share
from labelgrid.tasks.outlines import line_outline
from labelgrid.tasks.overview import BinaryOverview
from labelgrid.tasks.pictures import render_grey
from labelgrid.tasks.placement import same_values
from labelgrid.tasks.task import NoOptions, Spec, Task, TaskDef, binary_task


@dataclass(frozen=True)
class Matching:
    """The options of odsF.

    Args:
        distance: the largest distance between a predicted pixel and its true one, as a share of the
            image's diagonal; 0.0075 is usual for PASCAL, 0.011 for NYUD.
        nms: non-maximum suppression first, as the code of later papers does; the survey's does not.
        thresholds: the number of thresholds; 99 are 0.01 to 0.99. Or rising thresholds: the code of
            later papers uses 0.001, 0.01, 0.02 to 0.99, 0.999.
    """

    distance: float = 0.0075
    nms: bool = False
    thresholds: int | tuple[float, ...] = 99

    def __post_init__(self) -> None:
        check_ranges(self, distance=(0, 0.1))
        if isinstance(self.thresholds, int):
            check_ranges(self, thresholds=(1, 9999))
            return
        steps = pairwise((0.0, *self.thresholds, 1.0))
        if not self.thresholds or any(low >= high for low, high in steps):
            raise ValueError("thresholds must rise, from above 0 to below 1")


def meaning(options: Any) -> str:
    """Describe the channel of a prediction."""
    return "the probability of an edge"


SPEC = Spec(
    kind="edges",
    codec="binary",
    unit="%",
    cost=5.0,
    weight=50.0,
    headline="AP",
    meaning=meaning,
    metrics={"AP": NoOptions, "odsF": Matching},
    transform=same_values,
    render=render_grey,
    figures=positive_share,
    fine_figures=line_width,
    outline=line_outline,
    checks=(SHOWS_SOMETHING,),
    overview=BinaryOverview,
    agreement=line_agreement,
    constants=nothing_or_everything,
    other_figures={"oisF": "odsF", "boundary AP": "odsF"},
    regions="blind",
)


def build(task: TaskDef) -> Task:
    """The functions of an edge map: sigmoid, balanced cross entropy, two-class entropy, AP."""
    from labelgrid.pixel import boundary_metric, losses, metrics

    measured = {"AP": metrics.EdgeMetric, "odsF": boundary_metric.BoundaryMetric}
    return binary_task(task, losses.balanced_bce, measured)
