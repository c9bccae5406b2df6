"""Compares strategies statistically, with tests and intervals paired by seed."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from labelgrid.basics.array_types import Floats, Ints
from labelgrid.basics.results import Better, Verdict, verdict_on

#: A curve: x (labels or cost), rising, and the value there.
Curve = tuple[Floats, Floats]
#: The values of a first and of a second strategy, of the same seeds in the same order.
Pair = tuple[Sequence[float], Sequence[float]]
Key = TypeVar("Key", bound=Hashable)
#: A corrected p-value up to this level counts as a difference.
LEVEL = 0.05
#: With fewer pairs no valid interval exists; the smallest and the largest difference are reported
#: instead.
MIN_PAIRS = 6
#: Up to this many pairs all sign flips are compared, beyond that `RESAMPLES` random ones.
EXACT_PAIRS = 13
#: How many times differences are drawn for an interval, and flipped if there are too many pairs for
#: all flips.
RESAMPLES = 9999
#: Why nothing can be told where the readings of a pair's values disagree.
READINGS_DISAGREE = "it depends on the curves between rounds"
#: Means of flips that differ from the mean by less than this share of it are equal to it, but for
#: rounding.
EQUAL = 100 * float(np.finfo(np.float64).eps)


def mean_over(curve: Curve, start: float, end: float) -> float:
    """The mean of a curve between two x values: the area under it, divided by the width.

    Example:
        >>> mean_over((np.array([0.0, 2.0]), np.array([4.0, 2.0])), 0.0, 1.0)
        3.5
    """
    x, y = curve
    inside = x[(x > start) & (x < end)]
    xs = np.concatenate([[start], inside, [end]])
    heights = np.interp(xs, x, y)
    if end == start:
        return float(heights[0])
    return float(np.trapezoid(heights, xs) / (end - start))


def first_crossing(curve: Curve, goal: float, better: Better) -> float:
    """The first x at which a curve reaches a goal, linear between points.

    Infinity if it never does.

    Example:
        >>> first_crossing((np.array([100.0, 200.0]), np.array([6.0, 5.0])), 5.5, "lower")
        150.0
    """
    x, y = curve
    short = (goal - y) if better == "higher" else (y - goal)
    if short[0] <= 0:
        return float(x[0])
    for i in range(1, len(x)):
        if short[i] <= 0:
            return float(x[i - 1] + (x[i] - x[i - 1]) * short[i - 1] / (short[i - 1] - short[i]))
    return float("inf")


def at_shared_x(first: Curve, second: Curve) -> tuple[Curve, Curve]:
    """Two curves at the x values that both have, but for rounding.

    Example:
        >>> first = (np.array([100.0, 200.0, 300.0]), np.array([6.0, 5.0, 4.5]))
        >>> second = (np.array([100.0, 300.0]), np.array([6.0, 4.0]))
        >>> at_shared_x(first, second)[0][1]
        array([6. , 4.5])
    """
    xs = np.round(first[0], 6)
    _, mine, its = np.intersect1d(xs, np.round(second[0], 6), return_indices=True)
    return (first[0][mine], first[1][mine]), (second[0][its], second[1][its])


@dataclass(frozen=True, kw_only=True)
class PairComparison:
    """One strategy compared with another over the same seeds.

    Args:
        mean: the mean of the paired differences, first minus second.
        low, high: its 95 % bootstrap interval, or the smallest and the largest difference with too
            few pairs.
        p: the p-value of the exact paired permutation test, two-sided; NaN if the pair is not
            tested.
        holm: `p`, corrected for all tested pairs.
        seeds: the number of pairs.
        verdict: the first strategy compared with the second.
        why: why nothing can be told, unless it is the number of seeds; "" otherwise.
    """

    mean: float
    low: float
    high: float
    p: float
    holm: float
    seeds: int
    verdict: Verdict
    why: str = ""

    @property
    def is_tested(self) -> bool:
        """Whether there is a fair test of the pair."""
        return not math.isnan(self.p)

    @property
    def words(self) -> str:
        """The verdict, with the reason why nothing can be told."""
        return f"{self.verdict}: {self.why}" if self.why else self.verdict

    @property
    def is_difference(self) -> bool:
        """Whether the verdict says better or worse."""
        return self.verdict in ("better", "worse")

    @property
    def has_interval(self) -> bool:
        """Whether there are enough pairs for `low` and `high` to be an interval."""
        return self.seeds >= MIN_PAIRS


def compare(
    pairs: Mapping[Key, Pair],
    better: Better,
    seed: int = 0,
    *,
    further: Mapping[Key, Sequence[Pair]] | None = None,
) -> dict[Key, PairComparison]:
    """Compare every pair seed by seed, with p-values corrected for the number of pairs (Holm 1979).

    Args:
        pairs: by name, the values of the first and of the second, of the same seeds in the same
            order.
        better: whether higher or lower values are better.
        seed: the seed of the bootstrap draws.
        further: by name, other readings of a pair's values, where they are not known exactly. Two
            strategies differ only if they differ by each reading: p is the largest p of all
            readings, or 1 if their means have different signs, and the interval spans all
            intervals.

    Raises:
        ValueError: a difference is not a finite number, so nothing can be said of it.

    Example:
        >>> comparison = compare({"a - b": ([1.0] * 8, [2.0] * 8)}, "lower")["a - b"]
        >>> comparison.mean, comparison.p, comparison.verdict
        (-1.0, 0.0078125, 'better')
    """
    readings = {}
    for name, pair in pairs.items():
        others = (further or {}).get(name, ())
        readings[name] = [_differences(name, reading) for reading in (pair, *others)]
    smallest = {}
    largest = {}
    for name, differences in readings.items():
        p = [sign_flip_p(values) for values in differences]
        agree = len({np.sign(values.mean()) for values in differences}) == 1
        smallest[name] = min(p)
        largest[name] = max(p) if agree else 1.0
    corrected = dict(zip(largest, holm_correction(list(largest.values())), strict=True))
    comparisons = {}
    for name, differences in readings.items():
        intervals = [bootstrap_interval(values, seed) for values in differences]
        mean = float(differences[0].mean())
        seeds = len(differences[0])
        seen = is_seen(corrected[name], seeds, len(pairs))
        disagree = seen is False and len(differences) > 1 and smallest[name] <= LEVEL
        comparisons[name] = PairComparison(
            mean=mean,
            low=min(low for low, _ in intervals),
            high=max(high for _, high in intervals),
            p=largest[name],
            holm=corrected[name],
            seeds=seeds,
            verdict=verdict_on(mean, better, None if disagree else seen),
            why=READINGS_DISAGREE if disagree else "",
        )
    return comparisons


def untested(pair: Pair, why: str) -> PairComparison:
    """The difference of a pair for which there is no fair test.

    Example:
        >>> compared = untested(([1.0, 2.0], [2.0, 4.0]), "they share no rounds")
        >>> compared.mean, compared.p, compared.words
        (-1.5, nan, 'cannot tell: they share no rounds')
    """
    values = _differences("a pair", pair)
    low, high = bootstrap_interval(values, 0)
    return PairComparison(
        mean=float(values.mean()),
        low=low,
        high=high,
        p=math.nan,
        holm=math.nan,
        seeds=len(values),
        verdict="cannot tell",
        why=why,
    )


def _differences(name: object, pair: Pair) -> Floats:
    values = np.asarray(pair[0], float) - np.asarray(pair[1], float)
    if not np.isfinite(values).all():
        raise ValueError(f"a difference of {name} is not a finite number")
    return values


def is_seen(p: float, seeds: int, pairs: int) -> bool | None:
    """Whether a difference is more than noise; None if so few seeds cannot show one.

    `p` is corrected for as many differences as `pairs`.

    Example:
        >>> is_seen(0.03, 8, 3), is_seen(0.6, 8, 3), is_seen(0.75, 3, 3)
        (True, False, None)
    """
    if p <= LEVEL:
        return True
    if smallest_p(seeds) * pairs <= LEVEL:
        return False
    return None


def sign_flip_p(differences: Floats) -> float:
    """Two-sided p-value of paired differences, from flips of their signs.

    All flips are compared up to 13 pairs, 9,999 random ones for more. With n pairs it is at least
    2 / 2**n, so three seeds never show a difference at 5 %.
    """
    n = len(differences)
    if n < 2:
        return 1.0
    if n > EXACT_PAIRS:
        return _random_flips_p(differences)
    mean = differences.mean()
    means = (_all_signs(n) * differences[:, None]).sum(0) / n
    reach = abs(EQUAL * mean)
    below = np.count_nonzero(means <= mean + reach)
    above = np.count_nonzero(means >= mean - reach)
    return float(min(1.0, 2 * min(below, above) / len(means)))


@lru_cache
def _all_signs(n: int) -> Floats:
    """All 2**n ways to give n values a sign, as columns [n, 2**n] of 1 and -1."""
    bits = np.arange(2**n) >> np.arange(n)[:, None] & 1
    return np.where(bits, -1.0, 1.0)


def _random_flips_p(differences: Floats) -> float:
    from scipy import stats

    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def smallest_p(seeds: int) -> float:
    """The smallest two-sided p-value of a number of seeds, before correction.

    Example:
        >>> smallest_p(3), smallest_p(8)
        (0.25, 0.0078125)
    """
    if seeds < 2:
        return 1.0
    return max(2.0 ** (1 - seeds), 2e-4)


def seeds_needed(pairs: int) -> int:
    """The smallest number of seeds that can show a difference among several pairs.

    Example:
        >>> seeds_needed(1), seeds_needed(3)
        (6, 7)
    """
    return next(n for n in range(2, 64) if 2.0 ** (1 - n) * pairs <= LEVEL)


def holm_correction(p: Sequence[float]) -> list[float]:
    """P-values corrected for multiple comparisons, step-down (Holm 1979).

    Example:
        >>> holm_correction([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    steps = np.asarray(p)[order] * (len(p) - np.arange(len(p)))
    raised = np.minimum(np.maximum.accumulate(steps), 1.0)
    corrected = np.empty(len(p))
    corrected[order] = raised
    return [float(value) for value in corrected]


def bootstrap_interval(differences: Floats, seed: int) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean.

    With fewer than 6 pairs the smallest and the largest difference.

    A percentile interval of few values is too narrow (with 6 it covers the mean in 87 % of cases),
    so wider percentiles are used: 93 to 96 % of cases for normal differences, 88 to 93 % for
    exponential ones.

    Source: Hesterberg 2015 (expanded percentile interval).
    """
    n = len(differences)
    if n < MIN_PAIRS or np.ptp(differences) == 0:
        return float(differences.min()), float(differences.max())
    tail = interval_tail(n)
    means = np.sort(differences[_draws(n, seed)].mean(-1))
    return _quantile(means, tail), _quantile(means, 1 - tail)


@lru_cache
def interval_tail(n: int) -> float:
    """The share of the drawn means of n differences that lies below the interval."""
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(stdtrit(n - 1, LEVEL / 2) * math.sqrt(n / (n - 1))))
    confidence = 1 - 2 * tail
    return (1 - confidence) / 2


@lru_cache(8)
def _draws(n: int, seed: int) -> Ints:
    """Indices of n differences, drawn with replacement, one row for each drawn mean."""
    return np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))


def _quantile(rising: Floats, fraction: float) -> float:
    """The quantile of rising values, linear between the values."""
    position = fraction * len(rising) + (1 - fraction)
    above = min(int(position), len(rising) - 1)
    below = max(int(position) - 1, 0)
    part = position % 1
    return float((1 - part) * rising[below] + part * rising[above])
