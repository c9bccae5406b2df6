"""Provides the F of a binary task from pixels counted over the whole set.

Later multi-task code measures saliency so.
"""

import math

import torch
from torch import Tensor

from labelgrid.basics.results import Result, Results
from labelgrid.pixel.metrics import SumMetric
from labelgrid.pixel.target import Target


class SetFMetric(SumMetric):
    """The best F in percent over 19 thresholds, 0.05 to 0.95.

    Precision and recall are of the pixels of all images. A pixel at a threshold is positive. `maxF`
    of `SaliencyMetric` averages precision and recall over images instead.

    Args:
        beta_squared: b in F = (1 + b) P R / (b P + R).

    Source: the measure of ATRC and InvPT. The papers' code applies the sigmoid twice, which leaves
    few thresholds; here it is applied once.

    Example:
        >>> metric = SetFMetric(beta_squared=1.0)
        >>> prediction = torch.tensor([[[[0.9, 0.6, 0.1]]]])
        >>> truth = torch.tensor([[[[1.0, 0.0, 0.0]]]])
        >>> metric.update(prediction, Target(truth, truth >= 0))
        >>> metric.compute()["setF"]
        Result(name='setF', value=100.0, unit='%', better='higher')
    """

    THRESHOLDS = torch.arange(1, 20, dtype=torch.float64) / 20

    def __init__(self, beta_squared: float = 0.3) -> None:
        # Pixels by truth, then by the number of thresholds reached.
        super().__init__(2, len(self.THRESHOLDS) + 1)
        self.beta_squared = beta_squared

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add probabilities [b, 1, h, w]."""
        self.need_finite(prediction, target)
        levels = self.THRESHOLDS.to(prediction.device, prediction.dtype)
        reached = torch.bucketize(prediction[target.valid], levels, right=True)
        truth = (target.value[target.valid] >= 0.5).long()
        bins = truth * self.sums.shape[1] + reached
        counted = torch.bincount(bins, minlength=self.sums.numel())
        self.add(counted.view_as(self.sums))

    def compute(self) -> Results:
        """`setF`; NaN for a set without a positive pixel."""
        # A pixel is positive at threshold j if it reaches more than j thresholds.
        false, hits = self.sums.flip(1).cumsum(1).flip(1)[:, 1:]
        truths = self.sums[1].sum()
        # (1 + b) P R / (b P + R), with P and R put in
        f = (1 + self.beta_squared) * hits / (hits + false + self.beta_squared * truths)
        best = 100 * f.max().item() if truths else math.nan
        return {"setF": Result("setF", best, "%", "higher")}
