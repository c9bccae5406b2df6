"""What a labelling tool answers: labels, skips, and faults, file by file."""

import bisect
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.errors import LabelError
from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import Cell

#: Rows of a refusal's table that are shown in its text.
SHOWN = 20
#: Names around a wrong one's place in the alphabet that are compared with it.
NEIGHBOURS = 1000


@dataclass(frozen=True)
class Answer:
    """A label that was received for a cell.

    Args:
        cell: whose label it is.
        where: the file or line, as the user knows it.
        label: the label's file, or a function that reads the label; it returns None where there is none.
    """

    cell: Cell
    where: str
    label: Path | Callable[[], LabelArray | None]


@dataclass(frozen=True)
class Skip:
    """A request that cannot be labelled: its cell, the file or line that says so, and the reason."""

    cell: Cell
    where: str
    reason: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file or line: a row of the table that a refused import shows."""

    where: str
    what: str
    next_step: str = ""
    cell: Cell | None = None

    def __str__(self) -> str:
        whose = f" [{self.cell.image_id}, {self.cell.task}]" if self.cell else ""
        return f"{self.where}{whose}: {self.what} {self.next_step}".rstrip()


@dataclass
class Answers:
    """All that was received.

    Args:
        labels: by cell, each file once.
        skips: what could not be labelled.
        faults: files and lines that are neither.
        foreign: images with labels there that the project does not have.
    """

    labels: list[Answer] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    foreign: int = 0


class ImportRefused(LabelError):
    """An import that was refused whole; `rows` is the table of what is wrong.

    Example:
        >>> print(ImportRefused([Fault("depth/a.png", "The file is empty.", "Export it again.")], "answers"))
        The import has 1 fault (answers).
          depth/a.png: The file is empty. Export it again.
          Fix it and run the same command again. Nothing was imported.
    """

    def __init__(self, rows: Iterable[Fault], where: str) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: row.where))
        lines = [str(row) for row in self.rows[:SHOWN]]
        if len(self.rows) > SHOWN:
            lines.append(f"… and {len(self.rows) - SHOWN} more.")
        one = len(self.rows) == 1
        super().__init__(
            f"The import has {len(self.rows)} fault{'' if one else 's'}.",
            where=where,
            next_step="\n  ".join([*lines, f"Fix {'it' if one else 'them'} and run the same command again."]),
            unchanged="Nothing was imported.",
        )


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint at the name that was meant, or nothing; of very many sorted names, only the neighbours are looked at.

    Example:
        >>> nearest("dept", ["depth", "normals"])
        "Did you mean 'depth'?"
    """
    place = bisect.bisect(names, name)
    near = difflib.get_close_matches(name, names[max(0, place - NEIGHBOURS) : place + NEIGHBOURS], 1)
    return f"Did you mean '{near[0]}'?" if near else ""
