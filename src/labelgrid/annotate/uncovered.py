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
        rests: the given or kept class of such pixels, if any.
        fractions: the fraction of such pixels in each label with pixels without a class.
    """

    drawn: set[Drawn] = field(default_factory=set)
    rests: dict[Drawn, str] = field(default_factory=dict)
    fractions: dict[Drawn, dict[Cell, float]] = field(default_factory=dict)

    def add(self, drawn: Drawn, cell: Cell, fraction: float, rest: str) -> None:
        """Add a label.

        No region covers a `fraction` of its pixels, and nothing else labels them; `rest` names
        their class.
        """
        self.drawn.add(drawn)
        if rest:
            self.rests[drawn] = rest
        elif fraction:
            self.fractions.setdefault(drawn, {})[cell] = fraction

    def notes(self, given: str) -> Iterator[str]:
        """The meaning of uncovered pixels, a sentence a task; `given` is this import's class."""
        for (task, tool), rest in sorted(self.rests.items()):
            meaning = "not labelled" if rest == IGNORE else f"'{rest}'"
            why = "also in later imports" if given else "as in earlier imports"
            yield (
                f"{task}: what no region covers is {meaning}, {why} of {tool} (labelgrid.toml, "
                f"[rest]); `--rest {NONE}` ends that."
            )

    def left_bare(self) -> set[str]:
        """The tasks of which all uncovered pixels are said to be not labelled."""
        said = {task for (task, _), rest in self.rests.items() if rest == IGNORE}
        given = {task for (task, _), rest in self.rests.items() if rest != IGNORE}
        return said - given - {task for task, _ in self.fractions}

    def bare(self) -> Iterator[tuple[str, str]]:
        """The tasks whose labels leave much uncovered, and a sentence on each."""
        for (task, _), fractions in sorted(self.fractions.items()):
            mean = sum(fractions.values()) / len(fractions)
            if mean >= LEAST:
                labels = count_text(len(fractions), "label")
                sentence = (
                    f"{task}: no region covers {percent(mean)} of the pixels of {labels}, and they "
                    "are not labelled: a network learns nowhere what is not there."
                )
                yield task, sentence


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
