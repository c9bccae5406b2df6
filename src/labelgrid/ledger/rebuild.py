"""Recomputes the current cells from the events, and counts the differences."""

from sqlalchemy import Connection, delete, func, insert, select

from labelgrid.ledger.schema import CELLS, EVENTS


def rebuild(connection: Connection) -> int:
    """Recompute the cells' table from the events alone; see `Store.rebuild`."""
    columns = [column.name for column in CELLS.c if column.name != "state"]
    last = select(func.max(EVENTS.c.id)).group_by(EVENTS.c.image_id, EVENTS.c.task_id)
    expected = select(
        *(EVENTS.c[name] for name in columns), EVENTS.c.to_state.label("state")
    ).where(EVENTS.c.id.in_(last), EVENTS.c.to_state != 0)
    current = select(*(CELLS.c[name] for name in columns), CELLS.c.state)
    key = [name.key for name in CELLS.primary_key]
    surplus = current.except_(expected).subquery()
    lacking = expected.except_(current).subquery()
    surplus_keys = select(*(surplus.c[name] for name in key))
    lacking_keys = select(*(lacking.c[name] for name in key))
    either = surplus_keys.union(lacking_keys).subquery()
    differing = connection.scalar(select(func.count()).select_from(either)) or 0
    if differing:
        connection.execute(delete(CELLS))
        connection.execute(insert(CELLS).from_select([*columns, "state"], expected))
    return differing
