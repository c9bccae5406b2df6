"""Represents an answer: the labels, skips and faults that were received from a labelling tool."""

import bisect
import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from labelgrid.basics.errors import LabelError, LabelgridError
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import MOST_CHARACTERS, Cell, Hint

#: The most faults, or groups of the same fault, that an error message lists.
SHOWN = 20
#: So many faults of one kind are still listed one by one.
FEW = 3
#: What differs between messages about the same fault: names, cells, paths, numbers.
_VARIABLE = re.compile(r"'[^']*'|\[[^\]]*\]|[^\s()]*/[^\s()]*|\d+(?:[.,x]\d+)*")
#: How many names on either side, in alphabetical order, are compared with a wrong name.
NEIGHBOURS = 1000


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A label that was received for a cell.

    Args:
        cell: the cell that it labels.
        where: the file or line, for messages.
        label: the label's file, or a function that returns the label or the label's file, and None
            if there is none.
        seconds: how long the label took, above 0 and at most a day; None if it is not known.
        annotator: who or what made the label: a person, a supplier, a program; empty if it is not
            known.
        made: when it was made, as the tool writes times; empty if it does not say.
        hint: what was shown while it was drawn; None if it is not known.
        suffix: the suffix of the file that a label without one gets; "": the format's first.
    """

    cell: Cell
    where: str
    label: Path | Callable[[], LabelArray | Path | None]
    seconds: float | None = None
    annotator: str = ""
    made: str = ""
    hint: Hint | None = None
    suffix: str = ""


@dataclass(frozen=True)
class Skip:
    """A request that cannot be labelled.

    Its cell, the file or line that skips it, the reason, and when, as in `Answer`.
    """

    cell: Cell
    where: str
    reason: str
    made: str = ""


@dataclass(frozen=True)
class Fault:
    """An error in one file or line; a refused import lists all faults."""

    where: str
    what: str
    next_step: str = ""
    cell: Cell | None = None

    @classmethod
    def of_error(cls, where: str, error: LabelgridError, cell: Cell | None = None) -> "Fault":
        """The fault of a file or line that raised an error."""
        return cls(where, error.what, error.next_step, cell)

    @property
    def kind(self) -> str:
        """The part of the text that all messages about the same fault share: no numbers, no names.

        Example:
            >>> Fault("a.png", "Its classes 7 and 9 (2 pixels) are not of 'wall'.").kind
            'Its classes # (# pixel) are not of #.'
        """
        text = f"{self.what} {self.next_step}".rstrip()
        if self.cell:
            text = text.replace(self.cell.image_id, "'image'")
        text = re.sub(r"# (\w+?)s\b", r"# \1", _VARIABLE.sub("#", text))
        return re.sub(r"(#(?: \([^()]*\))?)(?:(?:, | and | or |, and )\1)+", r"\1", text)

    def __str__(self) -> str:
        cell = f" [{self.cell.image_id}, {self.cell.task}]" if self.cell else ""
        return f"{self.where}{cell}: {self.what} {self.next_step}".rstrip()


def wrong_time(where: str, value: object, cell: Cell) -> Fault:
    """The fault of an entry that is no time of a label."""
    message = f"time is {str(value)!r:.40}; it must be a number of seconds above 0, at most a day."
    return _wrong_entry(where, f"The label's {message}", cell)


def wrong_annotator(where: str, given: object, cell: Cell) -> Fault:
    """The fault of an entry that is no name of an annotator."""
    most = f"one line of at most {MOST_CHARACTERS} characters"
    return _wrong_entry(where, f"The annotator is {given!r:.40}; it must be {most}.", cell)


def _wrong_entry(where: str, message: str, cell: Cell) -> Fault:
    return Fault(where, message, "Fix it, or leave it empty if it is not known.", cell)


@dataclass(kw_only=True)
class Answers:
    """The content of one answer.

    Args:
        labels: the labels, each file once.
        skips: the requests that cannot be labelled.
        faults: files and lines that are neither labels nor skips.
        foreign: the number of images with labels that are not in the project.
        empty: the number of the project's images in a tool's file where nobody drew a region.
        stray: files that cannot be labels: no label format and no image has their extension.
        removed: files of removed images and dropped tasks.
        closed: lines that skip requests which were cancelled, or answered and withdrawn, since.
        notes: what a person should know of how the answer was read, a sentence each.
    """

    labels: list[Answer] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    foreign: int = 0
    empty: int = 0
    stray: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def has_any(self) -> bool:
        """Whether there is an answer, a fault, or an answer that does not count any more."""
        return bool(self.labels or self.skips or self.faults or self.removed or self.closed)


class ImportRefused(LabelError):
    """An import that was refused as a whole; `rows` lists the faults, and the file `listed` too.

    `leaves_others` says that the correct labels could be imported alone.

    Example:
        >>> fault = Fault("depth/a.png", "The file is empty.", "Export it again.")
        >>> print(ImportRefused([fault], "answers"))
        The import has 1 fault (answers).
          depth/a.png: The file is empty. Export it again.
          Fix it and run the same command again. Nothing was imported.
    """

    def __init__(
        self,
        rows: Iterable[Fault],
        where: str,
        listed: Path | None = None,
        *,
        leaves_others: bool = False,
    ) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: row.where))
        lines = fault_lines(self.rows, listed)
        them = "it" if len(self.rows) == 1 else "them"
        lines.append(f"Fix {them} and run the same command again.")
        if leaves_others:
            lines.append(f"Or import all others without {them}: add --leave-out.")
        super().__init__(
            f"The import has {count_text(len(self.rows), 'fault')}.",
            where=where,
            next_step="\n  ".join(lines),
            unchanged="Nothing was imported.",
        )

    def as_json(self) -> Json:
        """The faults as JSON values."""
        return {"imported": False, "faults": [asdict(row) for row in self.rows]}


def fault_lines(faults: Sequence[Fault], listed: Path | None = None) -> list[str]:
    r"""The lines of a message about faults; faults of one kind are grouped.

    A group names all its files, unless there are very many faults.

    Example:
        >>> faults = [Fault(f"{i}.png", "It is empty.", "Export it.") for i in range(10, 34)]
        >>> print("\n".join(fault_lines(faults)))
        24 files: the same fault. It is empty. Export it.
          10.png, 11.png, 12.png, and 21 more.
    """
    if len(faults) <= FEW:
        return list(map(str, faults))
    groups: dict[str, list[Fault]] = {}
    for fault in faults:
        groups.setdefault(fault.kind, []).append(fault)
    listing = f"; all are in {listed}" if listed else ""
    most = SHOWN if len(faults) <= SHOWN else FEW
    lines: list[str] = []
    further = len(faults)
    for group in groups.values():
        if len(group) <= FEW:
            group = group[: max(0, SHOWN - len(lines))]
            lines += map(str, group)
        elif len(lines) < SHOWN:
            is_of_files = not any(" line " in fault.where for fault in group)
            counted = count_text(len(group), "file" if is_of_files else "line")
            text = f"{group[0].what} {group[0].next_step}".rstrip()
            names = join_names([fault.where for fault in group], most)
            lines += [f"{counted}: the same fault. {text}", f"  {names}{listing}."]
        else:
            group = []
        further -= len(group)
    if further:
        lines.append(f"… and {further} more{listing}.")
    return lines


def spelling_hint(name: str, names: Sequence[str]) -> str:
    """A "Did you mean" hint, or an empty string.

    In a long sorted list, only the neighbours of a name are compared.

    Example:
        >>> spelling_hint("dept", ["depth", "normals"])
        "Did you mean 'depth'?"
    """
    index = bisect.bisect(names, name)
    neighbours = names[max(0, index - NEIGHBOURS) : index + NEIGHBOURS]
    near = difflib.get_close_matches(name, neighbours, 1)
    if not near:
        return ""
    return f"Did you mean '{near[0]}'?"


def plain_spelling(name: str) -> str:
    """A name without the marks and capitals that tools and disks change.

    Example:
        >>> plain_spelling(" Traffic_Light"), plain_spelling("traffic-light")
        ('traffic light', 'traffic light')
    """
    composed = unicodedata.normalize("NFC", name)
    return re.sub(r"[\s_-]+", " ", composed).strip().casefold()


def put_below(prefix: str, answers: Answers) -> Answers:
    """The same answers with the names of their files below a folder; an empty prefix is none.

    Example:
        >>> put_below("first/", Answers(stray=["notes.txt"])).stray
        ['first/notes.txt']
    """
    if not prefix:
        return answers
    return _renamed(answers, lambda where: prefix + where)


def put_in_file(name: str, answers: Answers) -> Answers:
    """The same answers with the file's name before the names of their lines.

    Example:
        >>> put_in_file("a.json", Answers(closed=["task 3", "a.json task 4"])).closed
        ['a.json task 3', 'a.json task 4']
    """
    return _renamed(answers, lambda where: where if where.startswith(name) else f"{name} {where}")


def _renamed(answers: Answers, rename: Callable[[str], str]) -> Answers:
    return replace(
        answers,
        labels=[replace(row, where=rename(row.where)) for row in answers.labels],
        skips=[replace(row, where=rename(row.where)) for row in answers.skips],
        faults=[replace(row, where=rename(row.where)) for row in answers.faults],
        stray=[rename(name) for name in answers.stray],
        removed=[rename(name) for name in answers.removed],
        closed=[rename(name) for name in answers.closed],
    )


def join_answers(parts: Iterable[Answers]) -> Answers:
    """All labels, skips, faults and notes of several answers, in their order.

    Example:
        >>> join_answers([Answers(foreign=2), Answers(foreign=1, notes=["Upright."])]).foreign
        3
    """
    whole = Answers()
    for part in parts:
        whole.labels += part.labels
        whole.skips += part.skips
        whole.faults += part.faults
        whole.foreign += part.foreign
        whole.empty += part.empty
        whole.stray += part.stray
        whole.removed += part.removed
        whole.closed += part.closed
        whole.notes += part.notes
    return whole
