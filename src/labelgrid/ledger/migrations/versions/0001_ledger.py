"""The ledger's first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from labelgrid.ledger.dialect import dialect_of

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def number(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.Integer) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    _roster()
    _events()
    _cells()
    _rounds()


def _roster() -> None:
    op.create_table(
        "images",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        number("key", sa.BigInteger),
        text("root"),
        text("digest"),
        number("height"),
        number("width"),
        text("split"),
        text("grp"),
    )
    op.create_index("images_by_split", "images", ["split"])
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        text("kind"),
        number("cost", sa.Float),
        sa.Column("options", sa.JSON, nullable=False),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, primary_key=True),
        text("at"),
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
        sa.CheckConstraint(
            "from_state BETWEEN 0 AND 3 AND to_state BETWEEN 0 AND 3", name="states"
        ),
    )
    op.create_index("events_by_cell", "events", ["image_id", "task_id"])
    paid = sa.text("to_state IN (2, 3)")
    op.create_index(
        "events_paid", "events", ["task_id", "cost"], sqlite_where=paid, postgresql_where=paid
    )
    for statement in dialect_of(op.get_bind()).append_only("events"):
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
        sa.CheckConstraint("state BETWEEN 1 AND 3", name="state"),
        sqlite_with_rowid=False,
    )
    op.create_index("cells_by_state", "cells", ["task_id", "state", "cost", "image_id"])
    asked = sa.text("request_id != ''")
    op.create_index(
        "cells_by_request", "cells", ["request_id"], sqlite_where=asked, postgresql_where=asked
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
