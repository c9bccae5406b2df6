"""Defines a measure of whole campaigns, which compares two strategies by values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

from labelgrid.basics.comparison import Pair, PairComparison, compare, untested
from labelgrid.basics.results import Better, mean_and_deviation

#: Values by strategy and seed.
Values = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True, kw_only=True)
class PairValues:
    """The values by which two strategies are compared.

    Args:
        pair: the pair of the same seeds in the same order.
        further: other readings of the values, if these are not known exactly; see `compare`.
        why_not: why they are shown and not tested; "" if they are tested.
    """

    pair: Pair
    further: Sequence[Pair] = ()
    why_not: str = ""


def of_same_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> Pair:
    """The values of two strategies, of the seeds that both have."""
    seeds = sorted(first.keys() & second.keys())
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


@dataclass(frozen=True, kw_only=True)
class CampaignMeasure:
    """A measure of whole campaigns.

    Args:
        name: the name of the measure.
        method: how it is computed, as a sentence.
        unit: the unit of its values.
        better: whether higher or lower is better.
        values: the values as shown, by strategy and seed.
        pair_values: the values by which two strategies are compared.
    """

    name: str
    method: str
    unit: str
    better: Better
    values: Values
    pair_values: Callable[[str, str], PairValues] = field(compare=False)

    def summary(self, strategy: str) -> tuple[float, float, int]:
        """Mean, standard deviation and number of seeds."""
        values = list(self.values.get(strategy, {}).values())
        mean, deviation = mean_and_deviation(values)
        return mean, deviation, len(values)

    @property
    def is_tested(self) -> bool:
        """Whether there is a fair test of any pair."""
        return any(compared.is_tested for compared in self.pairs.values())

    @cached_property
    def pairs(self) -> dict[tuple[str, str], PairComparison]:
        """Every pair of strategies, compared over their common seeds.

        P-values are corrected for the number of tested pairs.
        """
        every = {pair: self.pair_values(*pair) for pair in combinations(self.values, 2)}
        some = {pair: values for pair, values in every.items() if values.pair[0]}
        tested = {pair: values for pair, values in some.items() if not values.why_not}
        compared = compare(
            {pair: values.pair for pair, values in tested.items()},
            self.better,
            further={pair: values.further for pair, values in tested.items()},
        )
        for pair, values in some.items():
            if values.why_not:
                compared[pair] = untested(values.pair, values.why_not)
        return {pair: compared[pair] for pair in some}


def deciding_measure(measures: Sequence[CampaignMeasure]) -> CampaignMeasure | None:
    """The measure of the verdict: the first with a fair test.

    The first of all if none has a fair test; None without measures.
    """
    return next((one for one in measures if one.is_tested), next(iter(measures), None))
