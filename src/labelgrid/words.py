"""Puts counts and lists of names into words, for messages and reports."""

from collections.abc import Sequence

#: The number of names that a message lists.
SHOWN = 20


def count_text(count: int, one: str, many: str = "") -> str:
    """A count with its noun (and what follows it) in the singular or plural.

    Args:
        count: the number.
        one: the words after 1.
        many: the words after other numbers; "" adds an "s" to `one`.

    Example:
        >>> counted(1, "seed"), counted(3, "seed"), counted(1200, "class was", "classes were")
        ('1 seed', '3 seeds', '1,200 classes were')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def join_names(names: Sequence[object], shown: int = SHOWN, between: str = ", ") -> str:
    """The first names, and how many more there are.

    Args:
        names: all names.
        shown: how many are listed.
        between: what separates them.

    Example:
        >>> listed(["a", "b", "c"], 2), listed(["a", "b"], between="; ")
        ('a, b, and 1 more', 'a; b')
    """
    more = [f"and {len(names) - shown:,} more"] if len(names) > shown else []
    return between.join([*map(str, names[:shown]), *more])
