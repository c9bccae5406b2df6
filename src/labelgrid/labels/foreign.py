"""Checks the values of a ledger's rows: SQLite accepts any type in any column, and a ledger may be somebody else's."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labelgrid.errors import LedgerError

#: What follows from a row that this program did not write.
NEXT = "Restore the ledger from a copy, or use a project whose origin you know."


def check_values(row: Sequence[Any], kinds: Sequence[type], what: str) -> None:
    """Check the types of a row's values, and that its numbers are finite.

    Raises:
        LedgerError: one is wrong; `what` names the row.
    """
    if tuple(map(type, row)) != tuple(kinds):
        raise foreign(f"{what} has a value of another type")
    if not all(math.isfinite(value) for value in row if type(value) is float):
        raise foreign(f"{what} has a number that is not finite")


def check_name(name: Any, what: str) -> None:
    """Check a name that becomes part of a path.

    Raises:
        LedgerError: it is no text, or would lead out of a folder.
    """
    if type(name) is not str or not name or name in (".", "..") or {"/", "\0"} & set(name):
        raise foreign(f"{what} has the name {name!r}")


def foreign(fault: str) -> LedgerError:
    """The error for a row that this program did not write."""
    return LedgerError(
        f"The ledger cannot be used: {fault}, which labelgrid does not write.",
        next_step=NEXT,
        unchanged="Nothing was changed.",
    )


@contextmanager
def foreign_values() -> Iterator[None]:
    """Turn the errors of unreadable values, such as damaged JSON or an unknown state, into `LedgerError`."""
    try:
        yield
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise foreign(f"it holds a value that cannot be read ({type(error).__name__}: {error})") from error
