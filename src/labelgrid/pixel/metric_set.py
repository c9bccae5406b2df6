"""Combines several metrics of a task."""

from collections.abc import Sequence
from typing import Self

from torch import Tensor

from labelgrid.basics.results import ClassScore, Results
from labelgrid.pixel.metrics import ClassMetric, Metric
from labelgrid.pixel.target import Target


class MetricSet:
    """Several metrics of the same predictions, used as one `Metric`."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = tuple(metrics)

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add predictions to each metric."""
        for metric in self.metrics:
            metric.update(prediction, target)

    def end_image(self) -> None:
        """Mark the images as complete in each metric."""
        for metric in self.metrics:
            metric.end_image()

    def merge(self, other: Self) -> None:
        """Add the counts of another set of the same metrics over other images."""
        for metric, counted in zip(self.metrics, other.metrics, strict=True):
            metric.merge(counted)

    def compute(self) -> Results:
        """The values of all metrics, by name."""
        results = Results()
        for metric in self.metrics:
            results |= metric.compute()
        return results

    def class_scores(self) -> list[ClassScore]:
        """The scores of the classes by the first metric with such scores; empty without any."""
        for metric in self.metrics:
            if isinstance(metric, ClassMetric):
                return metric.class_scores()
        return []
