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


def text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def number(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.Integer) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


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
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        sa.Column("name", NAME, nullable=False, unique=True),
        number("key", sa.BigInteger),
        text("root"),
        text("digest"),
        number("height"),
        number("width"),
        text("split"),
        text("grp"),
        removed(),
    )
    # Every count leaves removed images out.
    op.create_index("images_by_split", "images", ["removed", "split"])
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", NAME, nullable=False, unique=True),
        text("kind"),
        number("cost", sa.Float),
        sa.Column("options", sa.JSON, nullable=False),
        removed(),
    )
    op.create_table(
        "class_lists",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("names", sa.Text, nullable=False, unique=True),
    )


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        text("command"),
        text("at"),
    )
    _append_only("operations")


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        sa.Column("operation_id", ID, sa.ForeignKey("operations.id"), nullable=False),
        sa.Column("image_id", ID, sa.ForeignKey("images.id"), nullable=False),
        sa.Column("task_id", sa.Integer, sa.ForeignKey("tasks.id"), nullable=False),
        number("from_state"),
        number("to_state"),
        number("round"),
        text("request_id"),
        text("path"),
        text("digest"),
        number("cost", sa.Float),
        sa.Column("score", sa.Float),
        number("weight", sa.Float),
        text("why"),
        sa.Column("seconds", sa.Float),
        text("annotator"),
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
        number("state"),
        number("round"),
        text("request_id"),
        text("path"),
        text("digest"),
        number("cost", sa.Float),
        number("weight", sa.Float),
        sa.Column("seconds", sa.Float),
        text("annotator"),
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
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        text("state"),
        text("strategy"),
        number("seed", sa.BigInteger),
        number("budget", sa.Float),
        text("unit"),
        text("recipe"),
        text("model"),
        text("pool"),
        text("note"),
        sa.CheckConstraint("state IN ('open', 'closed')", name="state"),
    )
    op.create_table(
        "notes",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )
