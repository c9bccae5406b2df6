"""Which strategy won, in plain words: a sentence a pair, and what so few seeds can say at all."""

from collections.abc import Mapping

from labelgrid.report.findings import Measure
from labelgrid.report.statistics import LEVEL, Compared, least_p, seeds_needed
from labelgrid.report.wording import counted, number, rough

#: So many pairs have a sentence each; of more, those without a difference are summed up.
SHOWN = 6


def verdicts(measure: Measure) -> list[tuple[str, str]]:
    """A finding a pair, the differences first, and the numbers that it rests on."""
    pairs = measure.pairs()
    found = [finding(measure, pair, compared) for pair, compared in pairs.items() if is_difference(compared)]
    quiet = {pair: compared for pair, compared in pairs.items() if not is_difference(compared)}
    if len(pairs) <= SHOWN:
        return found + [finding(measure, pair, compared) for pair, compared in quiet.items()]
    rest = f"in the other {counted(len(quiet), 'pair')}" if found else f"in any of the {counted(len(quiet), 'pair')}"
    return found + ([(f"No difference was seen {rest}.", "")] if quiet else [])


def is_difference(compared: Compared) -> bool:
    """Whether one of the two is better."""
    return compared.verdict != "no difference seen"


def finding(measure: Measure, pair: tuple[str, str], compared: Compared) -> tuple[str, str]:
    """The verdict on a pair, and the difference that it rests on.

    Example:
        >>> loss = Measure("Mean loss", "", "", "lower", {"a": {0: 1.0, 1: 1.5}, "b": {0: 2.0, 1: 2.5}})
        >>> found, numbers = finding(loss, ("a", "b"), loss.pairs()["a", "b"])
        >>> found
        'No difference seen between a and b at 2 seeds.'
        >>> numbers
        'Mean loss, a − b: −1 (seeds from −1 to −1; p = 0.5 after correction).'
    """
    first, second = pair
    seeds = counted(compared.seeds, "seed")
    said = f"No difference seen between {first} and {second} at {seeds}."
    if is_difference(compared):
        said = f"{first} is {compared.verdict} than {second} at {seeds}."
    interval = "95 % interval" if compared.has_interval else "seeds from"
    span = f"{rough(compared.low)} to {rough(compared.high)}"
    difference = f"{measure.name}, {first} − {second}: {rough(compared.mean)}"
    return said, f"{difference} ({interval} {span}; p = {number(compared.holm)} after correction)."


def power(pairs: Mapping[tuple[str, str], Compared]) -> str:
    """What so many seeds can say at all."""
    if not pairs:
        return "No two strategies have a finished run of one seed: there is nothing to compare yet."
    seeds, count = max(c.seeds for c in pairs.values()), len(pairs)
    if seeds < 2:
        return "One seed shows no difference: how much a run varies by chance is not known."
    least = least_p(seeds)
    said = f"With {counted(seeds, 'seed')} no p can be below {number(least)}"
    if count > 1:
        said += f", nor below {number(min(1.0, least * count))} corrected for {counted(count, 'pair')}"
    if least * count <= LEVEL:
        return f"{said}. No difference seen does not mean that there is none."
    needed = counted(seeds_needed(count), "seed")
    return f"{said}: no difference can be seen, however large. At {100 * LEVEL:g} % it takes {needed} at least."
