"""Recomputes the current cells from the events, and counts the differences."""

from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select

from labelgrid.ledger.grid import Cell
from labelgrid.ledger.schema import CELLS, EVENTS, IMAGES, TASKS

_COLUMNS = [column.name for column in CELLS.c if column.name != "state"]


def rebuild(connection: Connection) -> int:
    """Recompute the current state from the events.

    Returns the number of cells that differed (0: sound).
    """
    differing = len(differing_cells(connection))
    if differing:
        connection.execute(delete(CELLS))
        connection.execute(insert(CELLS).from_select([*_COLUMNS, "state"], _expected()))
    return differing


def differing_cells(connection: Connection) -> list[Cell]:
    """The cells whose row contradicts the events, as only damage explains; ordered."""
    current = select(*(CELLS.c[name] for name in _COLUMNS), CELLS.c.state)
    # Each has one row a cell, so a row that both have is there twice.
    both = current.union_all(_expected()).subquery()
    key = [both.c[column.key] for column in CELLS.primary_key]
    once = select(*key).group_by(*both.c).having(func.count() == 1)
    either = once.distinct().subquery()
    image = func.coalesce(IMAGES.c.name, "?")  # a damaged ledger may have lost the image's row
    task = func.coalesce(TASKS.c.name, "?")
    cells = (
        select(image, task)
        .select_from(either)
        .outerjoin(IMAGES, IMAGES.c.id == either.c.image_id)
        .outerjoin(TASKS, TASKS.c.id == either.c.task_id)
        .order_by(image, task)
    )
    return [Cell(*names) for names in connection.execute(cells)]


def _expected() -> Select[Any]:
    """The rows that the cells' table should have."""
    last = select(func.max(EVENTS.c.id)).group_by(EVENTS.c.image_id, EVENTS.c.task_id)
    columns = [EVENTS.c[name] for name in _COLUMNS]
    rows = select(*columns, EVENTS.c.to_state.label("state"))
    return rows.where(EVENTS.c.id.in_(last), EVENTS.c.to_state != 0)
