"""Chooses between several answers for a cell, or reports them."""

import re
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import replace

from labelgrid.annotate.answers import Answer, Answers, Fault, Skip
from labelgrid.annotate.import_options import Keep
from labelgrid.basics.words import by_value, count_text, join_names
from labelgrid.ledger.grid import Cell

#: What to do about several answers.
CHOOSE = "Remove all but one, or choose with --keep first or --keep last."
#: So many cells with several answers are named.
FEW = 3
_NUMBER = re.compile(r"(\d+)")


def keep_one(answers: Answers, keep: Keep) -> Answers:
    """The answers with only the first, or the last, of each cell, and a note about the choice.

    A skip counts only where there is no label. They are ordered by their times, if all answers of
    the cell have a time, else by the names of their files and lines, in which numbers count as
    numbers: a time beside none counts for nothing.

    Example:
        >>> cell = Cell("a.jpg", "depth")
        >>> both = Answers(skips=[Skip(cell, "b10.json", "dark"), Skip(cell, "b9.json", "far")])
        >>> one = keep_one(both, "last")
        >>> one.skips[0].reason, one.notes
        ('dark', ['1 cell had two answers; kept b10.json: a.jpg:depth.'])
    """
    left_out: set[int] = set()
    names = []
    most = 0
    for group in _repeated(answers):
        drawn = [answer for answer in group if isinstance(answer, Answer)] or group
        kept = drawn[0 if keep == "first" else -1]
        names.append(f"{kept.where}: {kept.cell.image_id}:{kept.cell.task}")
        left_out.update(id(answer) for answer in group if answer is not kept)
        most = max(most, len(group))
    notes = list(answers.notes)
    if names:
        cells = count_text(len(names), "cell")
        several = "two" if most == 2 else "several"
        notes.append(f"{cells} had {several} answers; kept {join_names(names, FEW)}.")
    return replace(
        answers,
        labels=[answer for answer in answers.labels if id(answer) not in left_out],
        skips=[answer for answer in answers.skips if id(answer) not in left_out],
        notes=notes,
    )


def repeated_faults(answers: Answers) -> Iterator[Fault]:
    """A fault for each answer of a cell but the first: two files, or a file and a skip."""
    for group in _repeated(answers):
        for other in group[1:]:
            message = f"{group[0].where} answers the same cell."
            yield Fault(other.where, message, CHOOSE, other.cell)


def without_cells(answers: Answers, cells: Container[Cell | None]) -> Answers:
    """The answers of other cells."""
    return replace(
        answers,
        labels=[answer for answer in answers.labels if answer.cell not in cells],
        skips=[answer for answer in answers.skips if answer.cell not in cells],
    )


def _repeated(answers: Answers) -> Iterator[list[Answer | Skip]]:
    """The answers of each cell that has several, in the order of time or of names."""
    by_cell: dict[Cell, list[Answer | Skip]] = defaultdict(list)
    both: list[Answer | Skip] = [*answers.labels, *answers.skips]
    for answer in both:
        by_cell[answer.cell].append(answer)
    for group in by_cell.values():
        if len(group) > 1:
            group.sort(key=lambda answer: _place(answer.where))
            if all(answer.made for answer in group):
                group.sort(key=lambda answer: answer.made)
            yield group


def _place(where: str) -> list[tuple[int, str]]:
    parts = _NUMBER.split(where)
    return [by_value(part) if part.isdecimal() else (-1, part) for part in parts]
