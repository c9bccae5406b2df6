"""Writes CSV tables whose texts no spreadsheet runs as formulas, and restores the texts."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

#: A text that a spreadsheet would take for a formula, or a marked one.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARKED = re.compile(r"'+[=+\-@\t\r]")


def escape_formula(value: object) -> object:
    """The value; a text that looks like a formula gets an apostrophe in front.

    Numbers are unchanged.

    Example:
        >>> escape_formula("=1+2"), escape_formula("-3.5"), escape_formula(-3.5)
        ("'=1+2", '-3.5', -3.5)
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
        return value
    except ValueError:
        return f"'{value}"


def unescape_formula(text: str) -> str:
    """The text as it was before `escape_formula`.

    Example:
        >>> unescape_formula("'=1+2"), unescape_formula("a.jpg")
        ('=1+2', 'a.jpg')
    """
    if _MARKED.match(text):
        return text[1:]
    return text


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Rows as CSV, a line of column names first; each row is taken when its line is."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    for row in rows:
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        table.writerow({name: escape_formula(value) for name, value in row.items()})
    yield text.getvalue()


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV with a line of column names."""
    return "".join(csv_lines(columns, rows))
