"""Puts counts, durations and lists of names into words, for messages and reports."""

from collections.abc import Sequence
from datetime import UTC, datetime

#: The number of names that a message lists.
SHOWN = 20


def count_text(count: int, one: str, many: str = "") -> str:
    """A count with the words after it, in the singular or plural.

    Args:
        count: the number.
        one: the words after 1.
        many: the words after other numbers; "" adds an "s" to `one`.

    Example:
        >>> count_text(1, "seed"), count_text(3, "seed")
        ('1 seed', '3 seeds')
        >>> count_text(1200, "class was", "classes were")
        '1,200 classes were'
    """
    if count == 1:
        return f"1 {one}"
    return f"{count:,} {many or f'{one}s'}"


def bytes_text(count: float) -> str:
    """A number of bytes in KiB, MiB or GiB.

    Example:
        >>> bytes_text(33_000), bytes_text(57.6e6), bytes_text(20 * 2**30)
        ('32.2 KiB', '54.9 MiB', '20 GiB')
    """
    for unit in ("KiB", "MiB"):
        count /= 2**10
        if count < 1000:
            return f"{count:.3g} {unit}"
    return f"{count / 2**10:.3g} GiB"


def by_value(digits: str) -> tuple[int, str]:
    """A sorting key for numbers of any length as texts, by their values.

    Example:
        >>> sorted(["10", "9", "0008"], key=by_value)
        ['0008', '9', '10']
    """
    plain = digits.lstrip("0")
    return len(plain), plain


def join_names(names: Sequence[object], shown: int = SHOWN, between: str = ", ") -> str:
    """The first names, and how many more there are.

    Args:
        names: all names.
        shown: how many are listed.
        between: what separates them.

    Example:
        >>> join_names(["a", "b", "c"], 2), join_names(["a", "b"], between="; ")
        ('a, b, and 1 more', 'a; b')
    """
    texts = [str(name) for name in names[:shown]]
    if len(names) > shown:
        texts.append(f"and {len(names) - shown:,} more")
    return between.join(texts)


def moment(text: str) -> str:
    """A moment of the ledger (UTC) in words; any other text stays unchanged.

    Example:
        >>> moment("2026-11-09T16:31:30+00:00"), moment("soon")
        ('9 November 2026, 16:31 UTC', 'soon')
    """
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def duration(seconds: float) -> str:
    """A duration in words.

    Example:
        >>> duration(40), duration(400), duration(40000)
        ('40 s', '7 min', '11 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min"
