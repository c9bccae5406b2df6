"""Notes the meaning of pixels that no region of a tool covers, and names the remedy."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from labelgrid.annotate.answers import plain_spelling
from labelgrid.annotate.import_options import IGNORE, NONE
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.overview import percent

#: A task, and the connector that read its labels.
Drawn = tuple[str, str]
#: Of labels of which less is uncovered, gaps between regions are meant.
LEAST = 0.05
#: How classes are called that are what nobody drew.
BACKGROUND = ("background", "other", "others", "rest")


@dataclass
class Uncovered:
    """The pixels that no region covers, noted while labels are painted.

    Args:
        drawn: the tasks whose labels regions drew, and the connectors that read them.
        rests: the class that such pixels have, where one was given or kept.
        shares: the share of such pixels in each label that has them without a class.
    """

    drawn: set[Drawn] = field(default_factory=set)
    rests: dict[Drawn, str] = field(default_factory=dict)
    shares: dict[Drawn, dict[Cell, float]] = field(default_factory=dict)

    def add(self, drawn: Drawn, cell: Cell, share: float, rest: str) -> None:
        """Add a label.

        No region covers a `share` of its pixels, and nothing else labels them; `rest` names their
        class.
        """
        self.drawn.add(drawn)
        if rest:
            self.rests[drawn] = rest
        elif share:
            self.shares.setdefault(drawn, {})[cell] = share

    def notes(self, given: str) -> Iterator[str]:
        """The meaning of uncovered pixels, a sentence a task; `given` is this import's class."""
        for (task, tool), rest in sorted(self.rests.items()):
            what = "not labelled" if rest == IGNORE else f"'{rest}'"
            why = "also in later imports" if given else "as in earlier imports"
            yield (
                f"{task}: what no region covers is {what}, {why} of {tool} (labelgrid.toml, "
                f"[rest]); `--rest {NONE}` ends that."
            )

    def bare(self) -> Iterator[tuple[str, str]]:
        """The tasks whose labels leave much uncovered, and a sentence on each."""
        for (task, _), shares in sorted(self.shares.items()):
            mean = sum(shares.values()) / len(shares)
            if mean >= LEAST:
                labels = count_text(len(shares), "label")
                what = (
                    f"{task}: no region covers {percent(mean)} of the pixels of {labels}, and they "
                    "are not labelled: a network learns nowhere what is not there."
                )
                yield task, what


def background_of(names: tuple[str, ...]) -> str:
    """The class that pixels outside of all regions likely have; empty without a likely name.

    Example:
        >>> background_of(("chair", "Background")), background_of(("chair", "table"))
        ('Background', '')
    """
    for name in names:
        if plain_spelling(name) in BACKGROUND:
            return name
    return ""
