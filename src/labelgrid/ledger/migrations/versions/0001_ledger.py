"""The ledger's tables as of labelgrid 0.1.0."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from labelgrid.ledger.database import dialect_of

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = (
    sa.Text()
    .with_variant(sa.Text(collation="BINARY"), "sqlite")
    .with_variant(sa.Text(collation="C"), "postgresql")
)


def key(name: str, kind: Any = sa.Integer) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def removed() -> sa.Column[Any]:
    return sa.Column("removed", sa.Boolean, nullable=False, server_default=sa.false())


def class_list() -> sa.Column[Any]:
    return sa.Column("class_list_id", sa.Integer, sa.ForeignKey("class_lists.id"))


def upgrade() -> None:
    _roster()
    _operations()
    _events()
    _cells()
    _rounds()


def _roster() -> None:
    op.create_table(
        "images",
        key("id", ID),
        sa.Column("name", NAME, nullable=False, unique=True),
        *columns(sa.BigInteger, "key"),
        *columns(sa.Text, "root", "digest"),
        *columns(sa.Integer, "height", "width"),
        *columns(sa.Text, "split", "grp"),
        removed(),
    )
    # Every count leaves removed images out.
    op.create_index("images_by_split", "images", ["removed", "split"])
    op.create_table(
        "tasks",
        key("id"),
        sa.Column("name", NAME, nullable=False, unique=True),
        *columns(sa.Text, "kind"),
        *columns(sa.Float, "cost"),
        *columns(sa.JSON, "options"),
        removed(),
    )
    op.create_table(
        "class_lists",
        key("id"),
        sa.Column("names", sa.Text, nullable=False, unique=True),
    )


def _operations() -> None:
    op.create_table(
        "operations",
        key("id", ID),
        *columns(sa.Text, "command", "at"),
    )
    _append_only("operations")


def _events() -> None:
    op.create_table(
        "events",
        key("id", ID),
        sa.Column("operation_id", ID, sa.ForeignKey("operations.id"), nullable=False),
        sa.Column("image_id", ID, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("task_id", sa.Integer, sa.ForeignKey("tasks.id"), nullable=False),
        *columns(sa.Integer, "from_state", "to_state", "round"),
        *columns(sa.Text, "request_id", "path", "digest"),
        *columns(sa.Float, "cost"),
        sa.Column("score", sa.Float),
        *columns(sa.Float, "weight"),
        *columns(sa.Text, "why"),
        sa.Column("seconds", sa.Float),
        *columns(sa.Text, "annotator"),
        class_list(),
        sa.CheckConstraint(
            "from_state BETWEEN 0 AND 3 AND to_state BETWEEN 0 AND 3", name="states"
        ),
    )
    op.create_index("events_by_cell", "events", ["image_id", "task_id"])
    paid = sa.text("to_state IN (2, 3)")
    op.create_index(
        "events_paid", "events", ["task_id", "cost"], sqlite_where=paid, postgresql_where=paid
    )
    _append_only("events")


def _append_only(table: str) -> None:
    for statement in dialect_of(op.get_bind()).append_only(table):
        op.execute(statement)


def _cells() -> None:
    op.create_table(
        "cells",
        sa.Column("image_id", ID, sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("task_id", sa.Integer, sa.ForeignKey("tasks.id"), primary_key=True),
        *columns(sa.Integer, "state", "round"),
        *columns(sa.Text, "request_id", "path", "digest"),
        *columns(sa.Float, "cost", "weight"),
        sa.Column("seconds", sa.Float),
        *columns(sa.Text, "annotator"),
        class_list(),
        sa.CheckConstraint("state BETWEEN 1 AND 3", name="state"),
        sqlite_with_rowid=False,
    )
    op.create_index("cells_by_state", "cells", ["task_id", "state", "cost", "image_id"])
    asked = sa.text("request_id != ''")
    op.create_index(
        "cells_by_request", "cells", ["request_id"], sqlite_where=asked, postgresql_where=asked
    )
    timed = sa.text("seconds IS NOT NULL")
    op.create_index(
        "cells_timed", "cells", ["task_id", "seconds"], sqlite_where=timed, postgresql_where=timed
    )


def _rounds() -> None:
    op.create_table(
        "rounds",
        key("number"),
        *columns(sa.Text, "state", "strategy"),
        *columns(sa.BigInteger, "seed"),
        *columns(sa.Float, "budget"),
        *columns(sa.Text, "unit", "recipe", "model"),
        *columns(sa.Text, "pool", "note"),
        sa.CheckConstraint("state IN ('open', 'closed')", name="state"),
    )
    op.create_table(
        "notes",
        sa.Column("key", sa.Text, primary_key=True),
        *columns(sa.JSON, "value"),
    )
