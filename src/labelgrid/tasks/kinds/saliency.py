"""Saliency detection: binary labels, a loss balanced by area, measured by IoU and maxF.

The default cost is a placeholder, roughly minutes per label; set your own costs in the project, in
any unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labelgrid.basics.config import check_ranges
from labelgrid.tasks.agreement import region_agreement
from labelgrid.tasks.figures import positive_share
from labelgrid.tasks.outlines import border_outline
from labelgrid.tasks.overview import BinaryOverview
from labelgrid.tasks.pictures import render_grey
from labelgrid.tasks.placement import same_values
from labelgrid.tasks.scale import Scale, probability_error, released_probability_error
from labelgrid.tasks.task import Spec, Task, TaskDef


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
    """What a prediction is."""
    return "the probability that a pixel is salient"


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
    other_figures={"maxF": "IoU"},
)


def build(task: TaskDef) -> Task:
    """The functions of a saliency map: sigmoid, balanced cross entropy, two-class entropy, IoU."""
    import torch

    from labelgrid.pixel import disagreement, losses, metrics, prediction, set_f_metric, uncertainty

    return Task(
        name=task.name,
        kind=task.kind,
        channels=1,
        label_channels=1,
        unit=SPEC.unit,
        cost=task.cost,
        weight=SPEC.weight,
        headline=task.headline,
        activate=torch.sigmoid,
        pixel_loss=losses.area_balanced_bce,
        as_prediction=prediction.pass_through,
        to_target=prediction.binary_target,
        moments=uncertainty.BinaryMoments,
        disagreement=disagreement.binary_divergence,
        other_disagreements={"js": disagreement.binary_js},
        metrics=task.chosen({"IoU": metrics.SaliencyMetric, "setF": set_f_metric.SetFMetric}),
        probabilities=prediction.two_classes,
        scale=Scale(
            neutral=0.5, error=probability_error, released_error=released_probability_error
        ),
    )
