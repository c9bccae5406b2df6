"""Writes the verdict on each pair of strategies as a sentence, and what the number of seeds can show."""

from collections.abc import Mapping

from labelgrid.drawings.wording import number, rough_number, rough_range
from labelgrid.report.campaign_measures import CampaignMeasure
from labelgrid.report.statistics import LEVEL, PairComparison, seeds_needed, smallest_p
from labelgrid.words import count_text

#: Up to this many pairs have a sentence each; beyond it, pairs without a difference are summed up.
SHOWN = 6


def verdicts(measure: CampaignMeasure) -> list[tuple[str, str]]:
    """The verdict on each pair and the numbers that support it, differences first."""
    pairs = measure.pairs()
    differences = [
        finding(measure, pair, compared)
        for pair, compared in pairs.items()
        if is_difference(compared)
    ]
    quiet = {pair: compared for pair, compared in pairs.items() if not is_difference(compared)}
    if len(pairs) <= SHOWN:
        return differences + [finding(measure, pair, compared) for pair, compared in quiet.items()]
    rest = (
        f"in the other {count_text(len(quiet), 'pair')}"
        if differences
        else f"in any of the {count_text(len(quiet), 'pair')}"
    )
    return differences + ([(f"No difference was seen {rest}.", "")] if quiet else [])


def is_difference(compared: PairComparison) -> bool:
    """Whether one of the two is better."""
    return compared.verdict != "no difference seen"


def finding(
    measure: CampaignMeasure, pair: tuple[str, str], compared: PairComparison
) -> tuple[str, str]:
    """The verdict on a pair, and the difference that supports it.

    Example:
        >>> loss = CampaignMeasure("Mean loss", "", "", "lower", {"a": {0: 1.0, 1: 1.5}, "b": {0: 2.0, 1: 2.5}})
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
        return "No two strategies have a finished run with the same seed. There is nothing to compare yet."
    seeds = max(c.seeds for c in pairs.values())
    count = len(pairs)
    if seeds < 2:
        return "One seed cannot show a difference: the random variation between runs is unknown."
    least = smallest_p(seeds)
    limit = f"With {count_text(seeds, 'seed')}, p cannot be below {number(least)}"
    if count > 1:
        limit += f", or below {number(min(1.0, least * count))} after correction for {count_text(count, 'pair')}"
    if least * count <= LEVEL:
        return f"{limit}. A difference that is not seen may still exist."
    needed = count_text(seeds_needed(count), "seed")
    return f"{limit}: no difference can be seen, however large. A level of {100 * LEVEL:g} % takes at least {needed}."
