"""Checks that the tables of docs/results have the values of the records of their studies.

`--write` updates them.
"""

import re
import sys
from pathlib import Path

from labelgrid.errors import LabelgridError
from labelgrid.simulation.results import TABLE, read_outcomes
from tools.source import ROOT, report
from tools.table_records import Records, TableError
from tools.table_values import Table, page_p

PAGES = "docs/results/*.md"
RECORDS = "docs/results/records"
#: What begins the line above a table, and such a line with its table. `Table` says what stands in
#: the table.
BEGIN = "<!-- table of "
MARK = re.compile(
    rf"^{BEGIN}([\w-]+): \./dev check tables, python -m tools\.tables --write -->\n\n"
    r"(\|.*\n\|[-:| ]+\n(?:\|.*(?:\n|\Z))+)",
    re.MULTILINE,
)
UPDATE = "run `.venv/bin/python -m tools.tables --write`"


def cells(line: str) -> list[str]:
    r"""The cells of a table's line.

    Example:
        >>> cells("| a | | 1.5 |"), cells(r"| a \| b |")
        (['a', '', '1.5'], ['a \\| b'])
    """
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def table_of(root: Path, mark: re.Match[str]) -> Table:
    """The table below a mark.

    Raises:
        TableError: its study has no records, or a row has more or fewer cells than the first.
    """
    folder = Path(RECORDS) / mark[1]
    if not (root / folder / TABLE).is_file():
        raise TableError(f"there is no {(folder / TABLE).as_posix()}")
    records = Records(read_outcomes(root / folder))
    headings, _, *rows = map(cells, mark[2].splitlines())
    for row in rows:
        if len(row) != len(headings):
            raise TableError(
                f"row '{row[0]}' has {len(row)} cells, the first row has {len(headings)}"
            )
    return Table(records, headings, rows)


def page_faults(root: Path, file: Path) -> tuple[list[str], str]:
    """The faults of a page, and its text with the values of the records."""
    page = file.read_text(encoding="utf-8")
    place = file.relative_to(root).as_posix()
    tables, faults = page_tables(root, page)
    try:
        p = page_p(tables) if not faults else {}
    except TableError:  # found again below, in the table that it is of
        p = {}

    def filled(mark: re.Match[str]) -> str:
        if (table := tables.get(mark.start())) is None:
            return mark[0]
        try:
            rows = table.filled(p.get(mark.start(), {}))
        except TableError as error:
            faults.append(f"table of {mark[1]}, {error}")
            return mark[0]
        faults.extend(
            f"table of {mark[1]}, row '{row[0]}': its values are not those of the records; {UPDATE}"
            for row, new in zip(table.rows, rows, strict=True)
            if list(row) != new
        )
        lines = (
            "|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|\n" for row in rows
        )
        return mark[0].removesuffix(mark[2]) + "".join(
            [*mark[2].splitlines(keepends=True)[:2], *lines]
        )

    text = MARK.sub(filled, page)
    if len(MARK.findall(page)) < page.count(BEGIN):
        faults.append(
            f"a line with '{BEGIN}' is not like the others, or has no table with a row two lines below"
        )
    return [f"{place}: {fault}" for fault in faults], text


def page_tables(root: Path, page: str) -> tuple[dict[int, Table], list[str]]:
    """The tables of a page by the places of their marks, and the faults of those that cannot be read."""
    tables = {}
    faults = []
    for mark in MARK.finditer(page):
        try:
            tables[mark.start()] = table_of(root, mark)
        except (TableError, LabelgridError) as error:
            faults.append(f"table of {mark[1]}, {error}")
    return tables, faults


def faults(root: Path) -> list[str]:
    """The rows whose values are not those of the records, and tables that cannot be filled."""
    return [fault for file in sorted(root.glob(PAGES)) for fault in page_faults(root, file)[0]]


def write(root: Path) -> None:
    """Write the values into the tables of all pages.

    A table that cannot be filled stays as it is.
    """
    for file in sorted(root.glob(PAGES)):
        file.write_text(page_faults(root, file)[1], encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
