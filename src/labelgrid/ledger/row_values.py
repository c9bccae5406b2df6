"""Checks the values of the ledger's rows.

A ledger may have been written by another program: SQLite accepts any type in any column. Values
that some databases cannot hold are refused before they are sent.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from labelgrid.basics.errors import DatabaseError, LedgerError
from labelgrid.ledger.dialect import LONGEST

UNCHANGED = "Nothing was changed."
#: The largest whole number of a key, and that of every other column.
LARGEST_KEY = 2**63 - 1
LARGEST = 2**31 - 1


def check_values(row: Sequence[Any], kinds: Sequence[type], owner: str) -> None:
    """Check the types of a row's values, and refuse numbers that are not finite.

    Raises:
        LedgerError: one is wrong; `owner` names the row.
    """
    if tuple(map(type, row)) != tuple(kinds):
        raise foreign_row_error(f"{owner} has a value of another type")
    if not all(math.isfinite(value) for value in row if type(value) is float):
        raise foreign_row_error(f"{owner} has a number that is not finite")


def check_optional(value: Any, owner: str) -> None:
    """Check a value that is a finite number or None.

    Raises:
        LedgerError: it is neither; `owner` names the row.
    """
    if value is not None:
        check_values((value,), (float,), owner)


def check_name(name: Any, owner: str) -> None:
    """Check a name that becomes part of a path.

    Raises:
        LedgerError: it is no text, or would lead out of a folder.
    """
    if type(name) is not str or not name or name in (".", "..") or {"/", "\0"} & set(name):
        raise foreign_row_error(f"{owner} has the name {name!r}")


def foreign_row_error(fault: str) -> DatabaseError:
    """The error for a row of another origin than this program."""
    return DatabaseError(
        unusable(f"{fault}, which labelgrid does not write"),
        next_step="Restore the ledger from a copy, or use a project whose origin you know.",
        unchanged=UNCHANGED,
    )


@contextmanager
def foreign_value_errors() -> Iterator[None]:
    """Turn the errors of unreadable values into `DatabaseError`, such as of damaged JSON."""
    try:
        yield
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise foreign_row_error(
            f"it holds a value that cannot be read ({type(error).__name__}: {error})"
        ) from error


def unusable(fault: str) -> str:
    """The sentence of an error for a ledger with a fault."""
    return f"The ledger cannot be used: {fault}."


def as_json(value: Any) -> str:
    """A value as the ledger holds it: JSON, with its keys in order.

    Raises:
        LedgerError: a number in it is not finite, a text is not Unicode, or it is no JSON value.
    """
    try:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise _value_error(value, "is no JSON, which has finite numbers alone") from error
    check_row([text])
    return text


def check_parameters(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    """Check the values of a statement: SQLAlchemy's event `before_cursor_execute`.

    Raises:
        LedgerError: a text is not Unicode, has the character NUL or is too long, or a number is too
            large or not finite.
    """
    rows = parameters if executemany else [parameters]
    for row in rows or ():
        check_row(row.values() if isinstance(row, Mapping) else row)


def check_row(row: Iterable[Any]) -> None:
    """Check the values of a row.

    Raises:
        LedgerError: as of `check_parameters`.
    """
    for value in row:
        kind = type(value)
        if kind is str:
            _check_text(value)
        elif kind is int:
            if not -LARGEST_KEY <= value <= LARGEST_KEY:
                raise _value_error(value, "is too large")
        elif kind is float and not math.isfinite(value):
            raise _value_error(value, "is not finite")
        elif kind is list:  # the values of a column of several rows
            check_row(value)


def _check_text(text: str) -> None:
    if len(text) > LONGEST:
        raise _value_error(text, f"is longer than {LONGEST >> 20} MiB")
    if "\0" in text:
        raise _value_error(text, "holds the character NUL")
    if not (text.isascii() or is_unicode(text)):
        raise _value_error(text, "is not Unicode text")


def is_unicode(text: str) -> bool:
    r"""Whether a text is Unicode: a file's name or a command's word may hold other bytes.

    Example:
        >>> is_unicode("café"), is_unicode("caf\udce9")
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_small(**numbers: int) -> None:
    """Check whole numbers by name.

    Raises:
        LedgerError: one needs more than 32 bits.
    """
    for name, number in numbers.items():
        if not -LARGEST <= number <= LARGEST:
            raise _value_error(number, f"is too large for {name}")


def _value_error(value: Any, fault: str) -> LedgerError:
    return LedgerError(
        f"{value!r:.60} cannot be in the ledger: it {fault}.",
        next_step="Give another value.",
        unchanged=UNCHANGED,
    )
