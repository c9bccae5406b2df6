"""Recomputes the current cells from the events, and counts the differences."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, func, insert, select

from labelgrid.ledger.grid import Cell
from labelgrid.ledger.schema import CELLS, EVENTS, IMAGES, PART_EVENTS, PARTS, TASKS, key_columns

#: Each table of a current state, and the events that it follows from.
_TABLES = ((CELLS, EVENTS), (PARTS, PART_EVENTS))


def rebuild(connection: Connection) -> int:
    """Recompute the current state from the events.

    Returns the number of cells that differed (0: sound); one bought in part counts once.
    """
    differing = len(differing_cells(connection))
    if differing:
        for current, events in _TABLES:
            connection.execute(delete(current))
            expected = _expected(current, events)
            connection.execute(insert(current).from_select([*_columns(current), "state"], expected))
    return differing


def differing_cells(connection: Connection) -> list[Cell]:
    """The cells whose row, or a part's row, contradicts the events, as only damage explains.

    They are ordered.
    """
    cells: set[Cell] = set()
    for current, events in _TABLES:
        cells.update(_differing(connection, current, _expected(current, events)))
    return sorted(cells)


def _differing(connection: Connection, current: Table, expected: Select[Any]) -> Iterator[Cell]:
    rows = select(*(current.c[name] for name in _columns(current)), current.c.state)
    # Each has one row a cell or part, so a row that both have is there twice.
    both = rows.union_all(expected).subquery()
    key = [both.c[column.key] for column in current.primary_key]
    once = select(*key).group_by(*both.c).having(func.count() == 1)
    either = once.distinct().subquery()
    image = func.coalesce(IMAGES.c.name, "?")  # a damaged ledger may have lost the image's row
    task = func.coalesce(TASKS.c.name, "?")
    cells = (
        select(image, task)
        .select_from(either)
        .outerjoin(IMAGES, IMAGES.c.id == either.c.image_id)
        .outerjoin(TASKS, TASKS.c.id == either.c.task_id)
    )
    for names in connection.execute(cells):
        yield Cell(*names)


def _columns(current: Table) -> list[str]:
    return [column.name for column in current.c if column.name != "state"]


def _expected(current: Table, events: Table) -> Select[Any]:
    """The rows that the table of a current state should have."""
    last = select(func.max(events.c.id)).group_by(*key_columns(events))
    columns = [events.c[name] for name in _columns(current)]
    rows = select(*columns, events.c.to_state.label("state"))
    return rows.where(events.c.id.in_(last), events.c.to_state != 0)
