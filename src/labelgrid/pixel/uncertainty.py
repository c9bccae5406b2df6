"""Computes the uncertainty of many predictions of one input at each pixel, from streamed moments.

Most are entropies in nats. Source: PartAL, appendix A.1. Probabilities have the Shannon entropy of
the mean prediction (eq. 3), values the differential entropy of a Gaussian with the predictions'
covariance (eq. 4). `Information` and `Spread` measure only what the predictions disagree on;
`MeanMeasure` is another measure of the mean probabilities.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from labelgrid.pixel.target import TensorMap

#: The smallest variance of a value (in its unit squared), and what is added to the variances of a
#: vector.
FLOOR = 1e-6


class Moments(Protocol):
    """Statistics of a stream of predictions, of a size that does not grow with the stream."""

    def update(self, prediction: Tensor) -> None:
        """Add one more prediction [b, c, h, w] of the same input."""

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats, of the predictions so far; `ValueError` before the first."""


class ClassMoments:
    """Shannon entropy of the mean of class probabilities [b, c, h, w].

    It is 0 where all predictions are certain of one class, and log(c) where the mean is uniform.

    Source: PartAL eq. 3.

    Example:
        >>> moments = ClassMoments()
        >>> moments.update(torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
        >>> moments.update(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1))
        >>> moments.uncertainty().item() == torch.tensor(2.0).log().item()
        True
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(())

    def update(self, prediction: Tensor) -> None:
        """Add one more prediction."""
        wide = _widen(prediction)
        if self.count:
            self.total.add_(wide)
        else:
            self.total = wide.clone()
        self.count += 1

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats."""
        return torch.special.entr(self.mean()).sum(1, keepdim=True)

    def mean(self) -> Tensor:
        """The mean prediction [b, c, h, w]; `ValueError` before the first."""
        _need_predictions(self.count)
        return self.total / self.count


class BinaryMoments(ClassMoments):
    """Shannon entropy of the mean of probabilities [b, 1, h, w], as of two classes.

    Source: PartAL eq. 3, for saliency and edges.
    """

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats."""
        mean = self.mean()
        return torch.special.entr(mean) + torch.special.entr(1 - mean)


class _Covariance:
    """Streamed covariance of predictions [b, c, h, w]; its channels are the upper triangle by rows.

    Products of deviations from the running mean are summed (Welford 1962), so a large mean costs no
    precision.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.products = torch.zeros(())

    def update(self, prediction: Tensor) -> None:
        wide = _widen(prediction)
        self.count += 1
        rows, columns = torch.triu_indices(wide.shape[1], wide.shape[1])
        deviation = wide - self.mean
        products = deviation[:, rows] * deviation[:, columns]
        if self.count == 1:
            self.mean = wide.clone()
            self.products = torch.zeros_like(products)
        else:
            self.mean.add_(deviation, alpha=1 / self.count)
            self.products.add_(products, alpha=1 - 1 / self.count)

    def _covariance(self) -> Tensor:
        _need_predictions(self.count)
        return self.products / self.count


class GaussianMoments(_Covariance):
    """Differential entropy of a one-dimensional Gaussian with the variance of values [b, 1, h, w].

    The variance of D predictions is the sum of squares divided by D, and at least `FLOOR`, which is
    the variance of a single prediction.

    Source: PartAL eq. 4 with N = 1.

    Example:
        >>> moments = GaussianMoments()
        >>> for depth in (1.0, 3.0):
        ...     moments.update(torch.full((1, 1, 1, 1), depth))
        >>> round(moments.uncertainty().item(), 4)  # variance 1
        1.4189
    """

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats; negative for small variances, as differential entropies are."""
        variance = self._covariance().clamp(min=FLOOR)
        return _gaussian_entropy(variance.log(), 1)


class VectorMoments(_Covariance):
    """Differential entropy of a Gaussian with the full 3×3 covariance of unit vectors [b, 3, h, w].

    `FLOOR` is added to the three variances. Unit vectors vary little along their mean, and fewer
    than four predictions have a singular covariance.

    Source: PartAL eq. 4 with N = 3.
    """

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats; negative for small variances, as differential entropies are."""
        xx, xy, xz, yy, yz, zz = self._covariance().unbind(1)
        # The product of the pivots is the determinant, whose expansion would lose all digits where
        # it is nearly 0. In exact arithmetic no pivot is below the floor; clamping rounded pivots
        # keeps the logarithm finite.
        first = xx + FLOOR
        second = (yy + FLOOR - xy * xy / first).clamp(min=FLOOR)
        rest = yz - xy * xz / first
        third = (zz + FLOOR - xz * xz / first - rest * rest / second).clamp(min=FLOOR)
        pivots = torch.stack([first, second, third], 1)
        return _gaussian_entropy(pivots.log().sum(1, keepdim=True), 3)


class Information:
    """Mutual information of the class and the network (BALD).

    It is the entropy of the mean less the mean of the entropies: 0 where all predictions are equal,
    however unsure each is.

    Source: Houlsby et al. 2011, eq. 2; over dropout passes, Gal et al. 2017.

    Args:
        probabilities: prediction -> probabilities [b, k, h, w] of k classes.

    Example:
        >>> moments = Information(lambda prediction: prediction)
        >>> for certain in ([1.0, 0.0], [0.0, 1.0]):
        ...     moments.update(torch.tensor(certain).view(1, 2, 1, 1))
        >>> round(moments.uncertainty().item(), 4)
        0.6931
    """

    def __init__(self, probabilities: TensorMap) -> None:
        self.probabilities = probabilities
        self.mean = ClassMoments()
        self.entropies = torch.zeros(())

    def update(self, prediction: Tensor) -> None:
        """Add one more prediction."""
        classes = _widen(self.probabilities(prediction))
        self.mean.update(classes)
        self.entropies = self.entropies + torch.special.entr(classes).sum(1, keepdim=True)

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats, at least 0."""
        return (self.mean.uncertainty() - self.entropies / self.mean.count).clamp(min=0)


class MeanMeasure:
    """A measure of mean class probabilities, such as the margin.

    Args:
        probabilities: prediction -> probabilities [b, k, h, w] of k classes.
        measure: mean probabilities [b, k, h, w] -> [b, 1, h, w], one of `pixel.confidence`.

    Example:
        >>> from labelgrid.pixel.class_confidence import least_confidence
        >>> moments = MeanMeasure(lambda prediction: prediction, least_confidence)
        >>> for certain in ([1.0, 0.0], [0.5, 0.5]):
        ...     moments.update(torch.tensor(certain).view(1, 2, 1, 1))
        >>> moments.uncertainty().item()
        0.25
    """

    def __init__(self, probabilities: TensorMap, measure: TensorMap) -> None:
        self.probabilities = probabilities
        self.measure = measure
        self.mean = ClassMoments()

    def update(self, prediction: Tensor) -> None:
        """Add one more prediction."""
        self.mean.update(self.probabilities(prediction))

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], in the measure's unit."""
        return self.measure(self.mean.mean())


class Spread:
    """Variance of values [b, c, h, w], summed over channels: the mean squared distance to the mean.

    Example:
        >>> moments = Spread()
        >>> for depth in (1.0, 3.0):
        ...     moments.update(torch.full((1, 1, 1, 1), depth))
        >>> moments.uncertainty().item()
        1.0
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def update(self, prediction: Tensor) -> None:
        """Add one more prediction."""
        wide = _widen(prediction)
        self.count += 1
        deviation = wide - self.mean
        self.mean = self.mean + deviation / self.count
        self.squares = self.squares + (deviation * (wide - self.mean)).sum(1, keepdim=True)

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], in the values' unit squared."""
        _need_predictions(self.count)
        return self.squares / self.count


def _gaussian_entropy(log_determinant: Tensor, dimensions: int) -> Tensor:
    return 0.5 * log_determinant + 0.5 * dimensions * math.log(2 * math.pi * math.e)


def _widen(prediction: Tensor) -> Tensor:
    return prediction.detach().to(torch.promote_types(prediction.dtype, torch.float32))


def _need_predictions(count: int) -> None:
    if not count:
        raise ValueError(
            "Uncertainty needs at least one prediction; found none. Call `update` first."
        )
