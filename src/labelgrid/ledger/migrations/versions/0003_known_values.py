"""Lets the database refuse values unknown to every command, and adds the hint of an event.

Rows that hold one: misspelt splits are put right, as an operation; images of any other split are
set aside, under its name; any other row is named, and nothing is changed.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from labelgrid.ledger.row_values import foreign_row_error

revision = "0003"
down_revision = "0002"

SPLITS = ("train", "val", "test", "heldout")
MISSPELT = {"training": "train", "validation": "val", "testing": "test"}
#: Before the name of a split of images that are set aside.
NONE = "none: "
HINTS = "hint IN ('nothing', 'model', 'supplier')"
#: By table, what holds of its rows, by the constraint's name.
CHECKS = {
    "images": {
        "split": "split IN ('train', 'val', 'test', 'heldout') OR split LIKE 'none: %'",
        "size": "height >= 0 AND width >= 0",
    },
    "tasks": {"cost": "cost >= 0"},
    "rounds": {"unit": "unit IN ('labels', 'images', 'cost')"},
}
IMAGES = sa.table("images", *map(sa.column, ("name", "height", "width", "split")))
TASKS = sa.table("tasks", *map(sa.column, ("name", "cost")))
ROUNDS = sa.table("rounds", *map(sa.column, ("number", "unit")))
OPERATIONS = sa.table("operations", *map(sa.column, ("id", "command", "at")))
NOTES = sa.table("notes", sa.column("key"), sa.column("value", sa.JSON))


def upgrade() -> None:
    _refuse_foreign_rows()
    _rename_splits()
    # Not by a new table with the old rows: SQLite lets a column bring its own condition.
    op.add_column("events", sa.Column("hint", sa.Text, sa.CheckConstraint(HINTS, name="hint")))
    for name, checks in CHECKS.items():
        listeners = [("column_reflect", _keep_order_of_names)]
        with op.batch_alter_table(name, reflect_kwargs={"listeners": listeners}) as table:
            for constraint, condition in checks.items():
                table.create_check_constraint(constraint, condition)


def _keep_order_of_names(inspector: Any, table: Any, column: Any) -> None:
    """Keep how SQLite orders names, which is not told with the column's type."""
    if column["name"] == "name":
        column["type"] = sa.Text(collation="BINARY")


def _refuse_foreign_rows() -> None:
    size = sa.or_(IMAGES.c.height < 0, IMAGES.c.width < 0)
    for name, height, width in _rows(IMAGES.c.name, IMAGES.c.height, IMAGES.c.width, where=size):
        raise foreign_row_error(f"image '{name}' has the size {height} x {width}")
    for name, cost in _rows(TASKS.c.name, TASKS.c.cost, where=TASKS.c.cost < 0):
        raise foreign_row_error(f"task '{name}' has the cost {cost:g}")
    unit = ROUNDS.c.unit.not_in(("labels", "images", "cost"))
    for number, value in _rows(ROUNDS.c.number, ROUNDS.c.unit, where=unit):
        raise foreign_row_error(f"round {number} has the unit '{value}'")


def _rows(*columns: Any, where: Any) -> list[Any]:
    first = sa.select(*columns).where(where).order_by(columns[0]).limit(1)
    return list(op.get_bind().execute(first))


def _rename_splits() -> None:
    """Give every image a known split, and log which were renamed, and how many images."""
    connection = op.get_bind()
    counts = sa.select(IMAGES.c.split, sa.func.count()).where(IMAGES.c.split.not_in(SPLITS))
    renamed = {}
    misspelt = connection.execute(counts.group_by(IMAGES.c.split)).all()
    for split, count in sorted(misspelt, key=str):
        new_split = MISSPELT.get(split, f"{NONE}{split}")
        renamed[split] = [new_split, count]
        change = sa.update(IMAGES).where(IMAGES.c.split == split)
        connection.execute(change.values(split=new_split))
    if not renamed:
        return
    number = connection.scalar(sa.select(sa.func.max(OPERATIONS.c.id))) or 0
    at = datetime.now(UTC).isoformat(timespec="seconds")
    values = {"id": number + 1, "command": "rename splits", "at": at}
    connection.execute(sa.insert(OPERATIONS), values)
    connection.execute(sa.insert(NOTES), {"key": "renamed splits", "value": renamed})
