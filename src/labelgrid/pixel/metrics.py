"""Provides the metrics: mergeable sums over a set's valid pixels, and values computed from them.

A metric's `update` takes whole images or strips of rows, in batches of any size, with the same
result. Only the saliency metric averages over images and needs to know where an image ends, but
every caller must call `end_image`. The values are NaN for an empty set, and for a set with a
prediction at a valid pixel that is NaN or infinite.
"""

import math
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labelgrid.basics.results import ClassScore, Result, Results
from labelgrid.pixel.target import Target


class Metric(Protocol):
    """A task's metric over a set of images.

    Example:
        >>> metric = DepthMetric()
        >>> truth = torch.tensor([[[[2.0], [4.0]]]])
        >>> for strip in (slice(0, 1), slice(1, 2)):
        ...     rows = truth[:, :, strip]
        ...     metric.update(rows + 1, Target(rows, rows > 0))
        >>> metric.end_image()
        >>> metric.compute()["RMSE"]
        Result(name='RMSE', value=1.0, unit='m', better='lower')
    """

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add predictions [b, channels, h, w] of b images, or of a strip of rows of each."""

    def end_image(self) -> None:
        """Mark the images of the updates since the last call as complete.

        The next update starts new images.
        """

    def merge(self, other: Self) -> None:
        """Add the counts of another metric with the same options over other images."""

    def compute(self) -> Results:
        """The values over everything added so far, by name; more may be added afterwards."""


@runtime_checkable
class ClassMetric(Protocol):
    """A metric with a score for each class."""

    def class_scores(self) -> list[ClassScore]:
        """The scores of the classes, in their order, over everything added so far."""


class SumMetric:
    """A metric whose values are computed from sums over the set, held in float64 on the CPU."""

    def __init__(self, *shape: int) -> None:
        self.sums = torch.zeros(shape, dtype=torch.float64)

    def add(self, counted: Tensor) -> None:
        """Add numbers of any device and type to the sums."""
        self.sums += counted.to("cpu", torch.float64)

    def need_finite(self, prediction: Tensor, target: Target) -> None:
        """Make all values NaN from now on if a prediction [b, c, h, w] is not finite.

        Only valid pixels count.
        """
        if prediction.sum().isfinite():
            return  # a sum is cheap, and not finite if any summand is not
        if (~prediction.isfinite().all(1, keepdim=True) & target.valid).any():
            self.sums += math.nan

    def end_image(self) -> None:
        """Nothing to do: sums over pixels do not depend on where an image ends."""

    def merge(self, other: Self) -> None:
        """Add the other's sums."""
        if self.sums.shape != other.sums.shape:
            raise ValueError(
                "Only metrics with the same options can be merged; "
                f"found sums of {[*self.sums.shape]} and {[*other.sums.shape]}."
            )
        self.add(other.sums)


def _at_valid(values: Tensor, target: Target) -> Tensor:
    """The values [n, c] of a map [b, c, h, w] at the valid pixels."""
    return values.movedim(1, -1)[target.valid[:, 0]]


def _percent(name: str, fraction: Tensor) -> Result:
    return Result(name, 100 * fraction.item(), "%", "higher")


class SegmentationMetric(SumMetric):
    """mIoU of the confusion matrix summed over the set, and pixel accuracy, in percent.

    Args:
        classes: the number of classes.
        absent: a class that is neither in labels nor in predictions is left out of the mean
            ("skip", as MTAN does), or counts as IoU 0 ("zero", as the survey's code does).

    Source: Vandenhende et al. 2021 (the survey); summed, never averaged over batches or images.

    Example:
        >>> metric = SegmentationMetric(3)
        >>> one_hot = torch.eye(3)[[0, 0, 1]].T.view(1, 3, 1, 3)
        >>> truth = torch.tensor([[[[0, 1, 1]]]])
        >>> metric.update(one_hot, Target(truth, torch.ones(1, 1, 1, 3).bool()))
        >>> metric.compute()["mIoU"].value
        50.0
    """

    def __init__(self, classes: int, absent: Literal["skip", "zero"] = "skip") -> None:
        # The last column: none of the annotated classes was predicted.
        super().__init__(classes, classes + 1)
        self.classes = classes
        self.absent = absent

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add class probabilities [b, classes, h, w]; the first of equal ones is the prediction.

        If only some classes were annotated in an image, the prediction is the likeliest of these.
        If all of these have probability 0, the true class is missed, and no other one is counted as
        predicted.
        """
        prediction, target = target.restrict_to_annotated(prediction, -1.0)
        self.need_finite(prediction, target)
        likeliest, index = prediction.max(1, keepdim=True)
        predicted = _at_valid(index.where(likeliest > 0, self.classes), target)
        truth = _at_valid(target.value, target).long()
        pairs = (truth * (self.classes + 1) + predicted).flatten()
        self.add(torch.bincount(pairs, minlength=self.sums.numel()).view_as(self.sums))

    def compute(self) -> Results:
        """The results `mIoU` and `pixAcc`, in percent."""
        total = self.sums.sum()
        iou = self._iou()
        if self.absent == "zero" and total > 0:
            iou = iou.nan_to_num(0.0)
        return {
            "mIoU": _percent("mIoU", iou.nanmean()),
            "pixAcc": _percent("pixAcc", self.sums.diag().sum() / total),
        }

    def class_scores(self) -> list[ClassScore]:
        """The IoU of each class in percent, and the number of its pixels in the labels."""
        percentages = (100 * self._iou()).tolist()
        pixels = self.sums.sum(1).tolist()
        scores = []
        for iou, count in zip(percentages, pixels, strict=True):
            scores.append(ClassScore(iou, 0 if math.isnan(count) else int(count)))
        return scores

    def _iou(self) -> Tensor:
        # NaN of a class that is neither in labels nor in predictions.
        hits = self.sums.diag()
        either = self.sums[:, :-1].sum(0) + self.sums.sum(1) - hits
        return hits / either


class DepthMetric(SumMetric):
    """Root of the mean squared error and mean absolute error over the set's pixels.

    Args:
        unit: the unit of the values; a disparity has none.
        least: predictions are raised to at least this value first (the survey's rule for
            predictions <= 0).

    Source: Vandenhende et al. 2021 (the survey): over pixels of the set, not a mean of images.
    """

    def __init__(self, unit: str = "m", least: float = 1e-9) -> None:
        super().__init__(3)
        self.unit = unit
        self.least = least

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add values [b, 1, h, w]."""
        self.need_finite(prediction, target)
        predicted = _at_valid(prediction, target).double().clamp(min=self.least)
        error = predicted - _at_valid(target.value, target).double()
        count = error.new_tensor(error.numel())
        self.add(torch.stack([error.square().sum(), error.abs().sum(), count]))

    def compute(self) -> Results:
        """The results `RMSE` and `absErr`, in the values' unit."""
        squares, absolutes, count = self.sums
        rmse = (squares / count).sqrt().item()
        mean = (absolutes / count).item()
        return {
            "RMSE": Result("RMSE", rmse, self.unit, "lower"),
            "absErr": Result("absErr", mean, self.unit, "lower"),
        }


class NormalsMetric(SumMetric):
    """Mean angle in degrees over the set's pixels, and shares of pixels below some angles.

    The angles are 11.25, 22.5 and 30 degrees. Vectors are normalised first, so lengths do not
    matter; a zero vector has an error of 90 degrees.

    Source: Vandenhende et al. 2021 (the survey).
    """

    LIMITS = (11.25, 22.5, 30.0)

    def __init__(self) -> None:
        super().__init__(2 + len(self.LIMITS))

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add vectors [b, 3, h, w]."""
        self.need_finite(prediction, target)
        predicted = F.normalize(_at_valid(prediction, target).double())
        truth = F.normalize(_at_valid(target.value, target).double())
        # Equal to acos(predicted · truth), but exact for small angles too.
        apart = (predicted - truth).norm(dim=1)
        together = (predicted + truth).norm(dim=1)
        angle = torch.rad2deg(2 * torch.atan2(apart, together))
        below = [(angle < limit).sum() for limit in self.LIMITS]
        self.add(torch.stack([angle.sum(), angle.new_tensor(angle.numel()), *below]))

    def compute(self) -> Results:
        """`mErr` and `below 11.25`, `below 22.5`, `below 30`."""
        total, count, *below = self.sums
        results = {"mErr": Result("mErr", (total / count).item(), "degree", "lower")}
        for limit, number in zip(self.LIMITS, below, strict=True):
            name = f"below {limit:g}"
            results[name] = _percent(name, number / count)
        return results


class SaliencyMetric(SumMetric):
    """IoU and maxF in percent: the best over 15 thresholds of values averaged over images.

    At each threshold an image has the IoU of its foreground (1 if neither label nor prediction has
    a positive), a precision and a recall (0 if the denominator is 0). F is computed from the mean
    precision and the mean recall. Images without a valid pixel do not count.

    Args:
        eight_bit: round predictions down to 8 bits first, as the survey does by saving them as
            pictures.
        beta_squared: F is (1 + b) P R / (b P + R); 1 in the survey, 0.3 in papers on saliency.

    Source: Vandenhende et al. 2021 (the survey), whose "mIoU" of saliency is this IoU; Achanta et
    al. 2009 for 0.3.
    """

    THRESHOLDS = torch.from_numpy(np.linspace(0.2, 0.9, 15))

    def __init__(self, eight_bit: bool = False, beta_squared: float = 1.0) -> None:
        super().__init__(4, len(self.THRESHOLDS))  # IoU, precision, recall, images
        self.eight_bit = eight_bit
        self.beta_squared = beta_squared
        # [b, 2, 16]: pixels by image, truth, thresholds exceeded.
        self.open: Tensor | None = None

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add probabilities [b, 1, h, w]."""
        self.need_finite(prediction, target)
        predicted = _at_valid(prediction, target)[:, 0].double()
        if self.eight_bit:
            predicted = (predicted * 255).floor() / 255
        exceeded = torch.bucketize(predicted, self.THRESHOLDS.to(predicted.device))
        truth = (_at_valid(target.value, target)[:, 0] >= 0.5).long()
        image = target.valid[:, 0].nonzero()[:, 0]
        shape = (len(prediction), 2, len(self.THRESHOLDS) + 1)
        bins = (image * 2 + truth) * shape[2] + exceeded
        counted = torch.bincount(bins, minlength=shape[0] * shape[1] * shape[2]).view(shape).cpu()
        if self.open is None:
            self.open = counted
            return
        if self.open.shape != counted.shape:
            raise ValueError(
                f"{len(counted)} images follow {len(self.open)} unended ones; "
                "call `end_image` between."
            )
        self.open = self.open + counted

    def end_image(self) -> None:
        """Add the images since the last call to the averages."""
        if self.open is None:
            return
        counts = self.open[self.open.sum((1, 2)) > 0]
        # A pixel is positive at threshold j if it exceeds more than j thresholds.
        positive = counts.flip(2).cumsum(2).flip(2)[:, :, 1:].double()
        false, hits = positive.unbind(1)
        truths = counts[:, 1].sum(1, keepdim=True).double()
        either = false + truths
        iou = torch.where(either > 0, hits / either, 1.0)
        precision = hits / (hits + false).clamp(min=1)
        recall = hits / truths.clamp(min=1)
        self.add(torch.stack([iou, precision, recall, torch.ones_like(iou)], 1).sum(0))
        self.open = None

    def merge(self, other: Self) -> None:
        """Add the other's sums; `end_image` must have been called on both."""
        self._need_ended()
        other._need_ended()
        super().merge(other)

    def compute(self) -> Results:
        """The results `IoU` and `maxF`, in percent."""
        self._need_ended()
        iou, precision, recall = self.sums[:3] / self.sums[3]
        f = (1 + self.beta_squared) * precision * recall / (self.beta_squared * precision + recall)
        if self.sums[3, 0] > 0:
            f = f.nan_to_num(0.0)
        return {"IoU": _percent("IoU", iou.max()), "maxF": _percent("maxF", f.max())}

    def _need_ended(self) -> None:
        if self.open is not None:
            raise ValueError(
                "Saliency is averaged over images; call `end_image` after the last update."
            )


class EdgeMetric(SumMetric):
    """Average precision of edge pixels over the set, in percent, from a histogram of predictions.

    The 16,384 steps of the histogram are equal in the logit, from -17 to 17, so that probabilities
    near 0 and 1, where confident networks crowd theirs, are told apart as well as others. Pixels of
    one step count as ties.

    Source: the sum of precision times gain in recall, from the highest probability down (no
    interpolation).
    """

    STEPS = 16_384
    LIMIT = 17.0

    def __init__(self) -> None:
        super().__init__(2, self.STEPS)

    def update(self, prediction: Tensor, target: Target) -> None:
        """Add probabilities [b, 1, h, w]."""
        self.need_finite(prediction, target)
        predicted = _at_valid(prediction, target)[:, 0]
        logit = predicted.double().nan_to_num().clamp(0, 1).logit().clamp(-self.LIMIT, self.LIMIT)
        step = ((logit / self.LIMIT + 1) / 2 * self.STEPS).long().clamp(max=self.STEPS - 1)
        truth = (_at_valid(target.value, target)[:, 0] >= 0.5).long()
        counted = torch.bincount(truth * self.STEPS + step, minlength=2 * self.STEPS)
        self.add(counted.view(2, self.STEPS))

    def compute(self) -> Results:
        """`AP`; NaN for a set without an edge pixel."""
        others, edges = self.sums.flip(1)
        hits = edges.cumsum(0)
        precision = hits / (hits + others.cumsum(0)).clamp(min=1)
        return {"AP": _percent("AP", (precision * edges).sum() / hits[-1])}
