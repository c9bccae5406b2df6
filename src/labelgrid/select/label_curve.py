"""Foresees a metric from the measured rounds, by a curve over their numbers of labels.

The odds of a percentage, or the logarithm of another metric, rise with each doubling of the task's
own labels. They also rise with the square root of the labels of all tasks, because the training
gets longer. Past campaigns give a prior of the slopes and of the scatter around the curve, so two
rounds already give an interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.basics.results import Better

#: Fewer measured rounds show no curve.
FEWEST = 2
#: The share of next rounds that an interval should hold.
SHARE = 0.8
#: As many rounds are behind what is known of the noise before a campaign is measured.
FREEDOM = 4.0
#: Percentages count as this far from 0 and from 100 at least: their odds would be infinite.
EDGE = 0.1


@dataclass(frozen=True, kw_only=True)
class CurvePrior:
    """The curve of a metric as far as it is known before a campaign is measured.

    Args:
        task: the mean gain by a doubling of the task's labels.
        all: by the labels of all tasks, in twice their square root over that of the first round.
        task_spread: the variance of `task` from curve to curve, as a multiple of that of the noise.
        all_spread: the spread of `all`.
        shared_spread: their covariance.
        noise: the standard deviation of a round beside the curve.
    """

    task: float
    all: float
    task_spread: float
    all_spread: float
    shared_spread: float
    noise: float

    @property
    def slopes(self) -> Floats:
        """The mean gains by labels of the task and of all tasks [2]."""
        return np.array([self.task, self.all])

    @property
    def spread(self) -> Floats:
        """The covariance of the gains, as a multiple of the variance of the noise [2, 2]."""
        return np.array(
            [[self.task_spread, self.shared_spread], [self.shared_spread, self.all_spread]]
        )


@dataclass(frozen=True)
class CurvePoint:
    """A measured round.

    Args:
        labels: the labels of the task that its network was trained on.
        all: the labels of all tasks.
        value: the value of the metric.
    """

    labels: float
    all: float
    value: float


@dataclass(frozen=True)
class Forecast:
    """The likely value of a metric, with an 80 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MetricScale:
    """Makes gains of a metric comparable: odds of percentages, logarithms of all others.

    Args:
        unit: the unit of the metric; "%" is a percentage.
        better: whether higher or lower values are better.

    Example:
        >>> error = MetricScale("m", "lower")
        >>> [round(error.gained(value), 2) for value in (2.0, 1.0, 0.5)]
        [-0.69, -0.0, 0.69]
        >>> round(error.value(0.69), 2)
        0.5
    """

    unit: str
    better: Better

    @property
    def _sign(self) -> float:
        return 1.0 if self.better == "higher" else -1.0

    def gained(self, value: float) -> float:
        """The place of a value on the scale; more is better."""
        if self.unit == "%":
            fraction = min(max(value, EDGE), 100 - EDGE) / 100
            return self._sign * math.log(fraction / (1 - fraction))
        return self._sign * math.log(max(value, 1e-12))

    def value(self, gained: float) -> float:
        """The value at a place on the scale, in the metric's unit."""
        if self.unit == "%":
            return 100 / (1 + math.exp(-self._sign * gained))
        return math.exp(self._sign * gained)

    def has(self, value: float) -> bool:
        """Whether a value lies on the scale: percentages from 0 to 100, others above 0."""
        return 0 <= value <= 100 if self.unit == "%" else 0 < value < math.inf

    def interval(self, gained: float, reach: float) -> tuple[float, float]:
        """The values within reach of a place, the lower one first.

        Percentages within `EDGE` of 0 or 100 count as there: an interval that reaches so far
        reaches the end.
        """
        low, high = sorted((self.value(gained - reach), self.value(gained + reach)))
        if self.unit == "%":
            low = low if low > EDGE else 0.0
            high = high if high < 100 - EDGE else 100.0
        return low, high


def curve_inputs(points: Sequence[CurvePoint], first: CurvePoint) -> Floats:
    """The inputs [n, 2] that the gains of points are linear in; `first` is the first round."""
    growth = np.array([point.labels for point in points]) / first.labels
    everything = np.array([point.all for point in points]) / first.all
    return np.stack([np.log2(growth), 2 * np.sqrt(everything)], 1)


@dataclass(frozen=True, kw_only=True)
class LabelCurve:
    """A metric's curve, fitted to the measured rounds and the prior.

    Args:
        scale: the scale of the metric.
        first: the first round.
        newest: the newest round.
        centre: the mean of the rounds' inputs [2].
        level: the mean of where they lie.
        slopes: the gains that are most likely [2].
        spread: their covariance, as a multiple of the variance of the noise [2, 2].
        noise: the standard deviation of a round beside the curve.
        rounds: their number.
    """

    scale: MetricScale
    first: CurvePoint
    newest: CurvePoint
    centre: Floats
    level: float
    slopes: Floats
    spread: Floats
    noise: float
    rounds: int

    @property
    def now(self) -> float:
        """The metric of the newest round, from which forecasts start."""
        return self.newest.value

    @property
    def fitted(self) -> Forecast:
        """The value of the curve itself at the labels of the newest round.

        A round lies beside the curve by chance, so the curve's value differs from the measured
        metric.
        """
        around = self._around
        variance = float(around @ self.spread @ around) + 1 / self.rounds
        return self._interval(self.level + float(around @ self.slopes), variance)

    @property
    def misses(self) -> bool:
        """Whether the newest round lies outside the interval of the curve through it.

        Something else than labels moved the metric then, and the curve tells nothing of labels.
        """
        fitted = self.fitted
        return not fitted.low <= self.newest.value <= fitted.high

    @property
    def by_chance(self) -> float:
        """The standard deviation between two rounds with the same labels, on the scale of gains."""
        return self.noise * math.sqrt(2)

    def forecast(self, labels: float, all: float) -> Forecast:
        """Forecast the next measurement for given numbers of labels of the task, and of all tasks.

        The interval includes the noise of both measurements. The slopes rest on the newest of them.
        """
        further = self._further(labels, all)
        shared = float(further @ self.spread @ self._around)
        variance = 2 + float(further @ self.spread @ further) + 2 * shared
        return self._interval(self._gained(further), variance)

    def change(self, labels: float, all: float) -> Forecast:
        """Forecast the metric from `now` if only the number of labels changes.

        The interval is without the noise of a measurement: the change is due to labels alone.
        """
        further = self._further(labels, all)
        return self._interval(self._gained(further), float(further @ self.spread @ further))

    @property
    def _around(self) -> Floats:
        return self._inputs(self.newest.labels, self.newest.all) - self.centre

    def _further(self, labels: float, all: float) -> Floats:
        return self._inputs(labels, all) - self._inputs(self.newest.labels, self.newest.all)

    def _gained(self, further: Floats) -> float:
        return self.scale.gained(self.newest.value) + float(further @ self.slopes)

    def _inputs(self, labels: float, all: float) -> Floats:
        return curve_inputs([CurvePoint(labels, all, 0.0)], self.first)[0]

    def _interval(self, gained: float, variance: float) -> Forecast:
        # The variance is a multiple of the variance of the noise.
        from scipy.special import stdtrit  # slow to load

        freedom = FREEDOM + self.rounds - 1
        reach = float(stdtrit(freedom, (1 + SHARE) / 2)) * self.noise * math.sqrt(max(variance, 0))
        low, high = self.scale.interval(gained, reach)
        return Forecast(self.scale.value(gained), low, high)


def fit_curve(
    points: Sequence[CurvePoint], scale: MetricScale, prior: CurvePrior
) -> LabelCurve | None:
    """The curve of a task's metric; None with fewer than `FEWEST` rounds.

    Source: a regression with the conjugate prior (normal, inverse gamma), whose noise is each
    campaign's own as far as its rounds tell.

    Args:
        points: the measured rounds, the newest last, of the same held-out labels; those without a
            label of the task, or with a value beyond the scale, do not count.
        scale: the scale of the metric.
        prior: what is known before.

    Example:
        >>> prior = CurvePrior(
        ...     task=0.1, all=0.0, task_spread=1.0, all_spread=1.0, shared_spread=0.0, noise=0.02
        ... )
        >>> points = [CurvePoint(20, 40, 1.0), CurvePoint(40, 80, 0.9)]
        >>> next_round = fit_curve(points, MetricScale("m", "lower"), prior).forecast(80, 160)
        >>> round(next_round.value, 2), round(next_round.low, 2), round(next_round.high, 2)
        (0.81, 0.77, 0.86)
    """
    counted = [point for point in points if point.labels > 0 and scale.has(point.value)]
    if len(counted) < FEWEST:
        return None
    inputs = curve_inputs(counted, counted[0])
    gained = np.array([scale.gained(point.value) for point in counted])
    centre = inputs.mean(0)
    level = float(gained.mean())
    around = inputs - centre
    precision = np.linalg.inv(prior.spread)
    spread = np.linalg.inv(precision + around.T @ around)
    slopes = spread @ (precision @ prior.slopes + around.T @ (gained - level))
    rest = gained - level - around @ slopes
    moved = slopes - prior.slopes
    squares = float(rest @ rest + moved @ precision @ moved)
    variance = (FREEDOM * prior.noise**2 + squares) / (FREEDOM + len(counted) - 1)
    return LabelCurve(
        scale=scale,
        first=counted[0],
        newest=counted[-1],
        centre=centre,
        level=level,
        slopes=slopes,
        spread=spread,
        noise=math.sqrt(variance),
        rounds=len(counted),
    )


def prior_of(metric: str, unit: str, priors: Mapping[str, CurvePrior]) -> CurvePrior:
    """The prior of a metric's name, or else of its unit."""
    return priors.get(metric) or priors["percentage" if unit == "%" else "other"]
