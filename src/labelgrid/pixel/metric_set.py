"""Several metrics of one task over one set, used as one."""

from collections.abc import Sequence
from typing import Self

from torch import Tensor

from labelgrid.pixel.metrics import Metric
from labelgrid.pixel.target import Target
from labelgrid.results import Result


class MetricSet:
    """Metrics that count the same predictions; their figures one after another."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = tuple(metrics)

    def update(self, prediction: Tensor, target: Target) -> None:
        """Count predictions in each metric."""
        for metric in self.metrics:
            metric.update(prediction, target)

    def end_image(self) -> None:
        """Say to each metric that the images are complete."""
        for metric in self.metrics:
            metric.end_image()

    def merge(self, other: Self) -> None:
        """Add what another set of the same metrics counted over other images."""
        for metric, counted in zip(self.metrics, other.metrics, strict=True):
            metric.merge(counted)

    def compute(self) -> dict[str, Result]:
        """The figures of all metrics, by name."""
        return {name: result for metric in self.metrics for name, result in metric.compute().items()}
