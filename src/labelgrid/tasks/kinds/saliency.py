"""Saliency detection: binary labels, a loss balanced by area, measured by IoU and maxF.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labelgrid.basics.config import check_ranges
from labelgrid.tasks.agreement import nothing_or_everything, region_agreement
from labelgrid.tasks.figures import positive_share
from labelgrid.tasks.outlines import border_outline
from labelgrid.tasks.overview import BinaryOverview
from labelgrid.tasks.pictures import render_grey
from labelgrid.tasks.placement import same_values
from labelgrid.tasks.task import Spec, Task, TaskDef, binary_task


@dataclass(frozen=True)
class SaliencyScore:
    """The options of IoU and maxF.

    Args:
        eight_bit: round predictions down to 8 bits first, as the survey does by saving them as
            pictures.
        beta_squared: the weight of recall over precision in maxF; 1 in the survey, 0.3 in papers on
            saliency.
    """

    eight_bit: bool = False
    beta_squared: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, beta_squared=(1e-6, 1e6))


@dataclass(frozen=True)
class SetF:
    """The options of setF.

    Args:
        beta_squared: the weight of recall over precision.
    """

    beta_squared: float = 0.3

    def __post_init__(self) -> None:
        check_ranges(self, beta_squared=(1e-6, 1e6))


def meaning(options: Any) -> str:
    """Describe the channel of a prediction."""
    return "the probability that a pixel is salient"


def two_keys(_options: Any) -> dict[str, int]:
    """The numbers of background and of things that stand out."""
    return {"background": 0, "salient": 1}


SPEC = Spec(
    kind="saliency",
    codec="binary",
    unit="%",
    cost=3.0,
    weight=5.0,
    headline="IoU",
    meaning=meaning,
    metrics={"IoU": SaliencyScore, "setF": SetF},
    transform=same_values,
    render=render_grey,
    figures=positive_share,
    outline=border_outline,
    overview=BinaryOverview,
    agreement=region_agreement,
    constants=nothing_or_everything,
    other_figures={"maxF": "IoU"},
    regions="any",
    keys=two_keys,
)


def build(task: TaskDef) -> Task:
    """The functions of a saliency map: sigmoid, balanced cross entropy, two-class entropy, IoU."""
    from labelgrid.pixel import losses, metrics, set_f_metric

    measured = {"IoU": metrics.SaliencyMetric, "setF": set_f_metric.SetFMetric}
    return binary_task(task, losses.area_balanced_bce, measured)
