"""Writes verdicts on pairs of strategies as sentences, and what the number of seeds can show."""

from collections.abc import Mapping

from labelgrid.comparison import LEVEL, PairComparison, seeds_needed, smallest_p
from labelgrid.drawings.wording import number, rough_number, rough_range
from labelgrid.report.campaign_measures import CampaignMeasure
from labelgrid.words import count_text

#: Up to this many pairs have a sentence each; beyond it, pairs without a difference are summed up.
SHOWN = 6


def verdicts(measure: CampaignMeasure) -> list[tuple[str, str]]:
    """The verdict on each pair and the numbers that support it, differences first."""
    pairs = measure.pairs()
    differences: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for pair, compared in pairs.items():
        group = differences if is_difference(compared) else others
        group.append(finding(measure, pair, compared))
    if not others or len(pairs) <= SHOWN:
        return differences + others
    place = "in the other" if differences else "in any of the"
    rest = f"No difference was seen {place} {count_text(len(others), 'pair')}."
    return [*differences, (rest, "")]


def is_difference(compared: PairComparison) -> bool:
    """Whether one of the two is better."""
    return compared.verdict != "no difference seen"


def finding(
    measure: CampaignMeasure, pair: tuple[str, str], compared: PairComparison
) -> tuple[str, str]:
    """The verdict on a pair, and the difference that supports it.

    Example:
        >>> values = {"a": {0: 1.0, 1: 1.5}, "b": {0: 2.0, 1: 2.5}}
        >>> loss = CampaignMeasure(
        ...     name="Mean loss", method="", unit="", better="lower", values=values
        ... )
        >>> verdict, numbers = finding(loss, ("a", "b"), loss.pairs()["a", "b"])
        >>> verdict
        'No difference seen between a and b with 2 seeds.'
        >>> numbers
        'Mean loss, a − b: −1 (seeds from −1 to −1; p = 0.5 after correction).'
    """
    first, second = pair
    seeds = count_text(compared.seeds, "seed")
    verdict = f"No difference seen between {first} and {second} with {seeds}."
    if is_difference(compared):
        verdict = f"{first} is {compared.verdict} than {second} with {seeds}."
    interval = "95 % interval" if compared.has_interval else "seeds from"
    span = rough_range(compared.low, compared.high)
    difference = f"{measure.name}, {first} − {second}: {rough_number(compared.mean)}"
    return (
        verdict,
        f"{difference} ({interval} {span}; p = {number(compared.holm)} after correction).",
    )


def power_statement(pairs: Mapping[tuple[str, str], PairComparison]) -> str:
    """What this number of seeds can show."""
    if not pairs:
        return (
            "No two strategies have a finished run with the same seed. "
            "There is nothing to compare yet."
        )
    seeds = max(compared.seeds for compared in pairs.values())
    count = len(pairs)
    if seeds < 2:
        return "One seed cannot show a difference: the random variation between runs is unknown."
    least = smallest_p(seeds)
    limit = f"With {count_text(seeds, 'seed')}, p cannot be below {number(least)}"
    if count > 1:
        corrected = number(min(1.0, least * count))
        limit += f", or below {corrected} after correction for {count_text(count, 'pair')}"
    if least * count <= LEVEL:
        return f"{limit}. A difference that is not seen may still exist."
    needed = count_text(seeds_needed(count), "seed")
    return (
        f"{limit}: no difference can be seen, however large. "
        f"A level of {100 * LEVEL:g} % takes at least {needed}."
    )
