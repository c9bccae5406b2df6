"""Measures predictions within a range, as published protocols of depth do."""

from collections.abc import Callable
from typing import Self

from torch import Tensor

from labelgrid.basics.results import Results
from labelgrid.pixel.metrics import Metric
from labelgrid.pixel.target import Target


class CappedMetric:
    """A metric of predictions after clamping to a range.

    Args:
        create: creates the metric.
        least: the least value; a prediction that is no number stays so.
        most: the largest value.

    Example:
        >>> import torch
        >>> from labelgrid.pixel.metrics import DepthMetric
        >>> metric = CappedMetric(DepthMetric, 0.0, 10.0)
        >>> truth = torch.full((1, 1, 1, 2), 9.0)
        >>> metric.update(torch.tensor([[[[25.0, 8.0]]]]), Target(truth, truth > 0))
        >>> metric.compute()["RMSE"].value
        1.0
    """

    def __init__(self, create: Callable[[], Metric], least: float, most: float) -> None:
        self.metric = create()
        self.least = least
        self.most = most

    def update(self, prediction: Tensor, target: Target) -> None:
        """Clamp the predictions, then update the metric."""
        self.metric.update(prediction.clamp(self.least, self.most), target)

    def end_image(self) -> None:
        """Mark the images as complete in the metric."""
        self.metric.end_image()

    def merge(self, other: Self) -> None:
        """Add the counts of a metric with the same range."""
        self.metric.merge(other.metric)

    def compute(self) -> Results:
        """The values of the metric, by name."""
        return self.metric.compute()
