"""Joins the answers of several files and folders into one."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from labelgrid.annotate.answers import Answers


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
    """The same answers with the names of their lines behind that of their file.

    Example:
        >>> put_in_file("a.json", Answers(closed=["task 3", "a.json task 4"])).closed
        ['a.json task 3', 'a.json task 4']
    """
    return _renamed(answers, lambda where: where if where.startswith(name) else f"{name} {where}")


def _renamed(answers: Answers, rename: Callable[[str], str]) -> Answers:
    """The same answers with other names of their files and lines."""
    return replace(
        answers,
        labels=[replace(one, where=rename(one.where)) for one in answers.labels],
        skips=[replace(one, where=rename(one.where)) for one in answers.skips],
        faults=[replace(one, where=rename(one.where)) for one in answers.faults],
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
