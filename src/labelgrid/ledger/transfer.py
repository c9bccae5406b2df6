"""Copies the rows of a ledger to another database, and compares them."""

from collections.abc import Generator
from contextlib import closing
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from labelgrid.basics.progress import Progress
from labelgrid.ledger.database import MOVED, MOVED_TO
from labelgrid.ledger.roster import BATCH, batches
from labelgrid.ledger.rounds import put
from labelgrid.ledger.schema import METADATA, VERSION

#: The tables, those first that others refer to.
TABLES = METADATA.sorted_tables


def count_rows(connection: Connection) -> int:
    """The number of rows of a whole ledger."""
    counts = (select(func.count()).select_from(table) for table in TABLES)
    return sum(connection.scalar(count) or 0 for count in counts)


def copy_rows(source: Connection, target: Connection, progress: Progress) -> None:
    """Copy all rows into empty tables."""
    for table in TABLES:
        for batch in batches(_rows(source, table)):
            named = [dict(zip(table.columns.keys(), row, strict=True)) for row in batch]
            target.execute(insert(table), named)
            progress.advance(len(named))


def first_difference(source: Connection, target: Connection, progress: Progress) -> str:
    """The first row that two ledgers do not share; empty if all rows are equal.

    Values are equal if their types are, too.
    """
    for table in TABLES:
        with closing(_rows(source, table)) as rows, closing(_rows(target, table)) as others:
            for number, (row, other) in enumerate(zip_longest(rows, others), 1):
                if repr(row) != repr(other):
                    return f"row {number:,} of {table.name}: {row!r:.80}, there {other!r:.80}"
                progress.advance()
    return ""


def _rows(connection: Connection, table: Table) -> Generator[tuple[Any, ...], None, None]:
    ordered = select(table).order_by(*table.primary_key.columns)
    with connection.execute(ordered.execution_options(yield_per=BATCH)) as result:
        for row in result:
            yield tuple(row)


def close_for_good(connection: Connection, target: str) -> None:
    """Mark a ledger as copied to another place, so that no process writes there any longer."""
    put(connection, MOVED_TO, target)
    connection.execute(update(VERSION).values(version_num=MOVED))
