"""Adds partitions of images into regions, and the regions of cells that are bought in part."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from labelgrid.ledger.database import dialect_of

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
HINTS = "hint IN ('nothing', 'model', 'supplier')"


def columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def reference(name: str, kind: Any, to: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, sa.ForeignKey(f"{to}.id"), **options)


def upgrade() -> None:
    with op.batch_alter_table("rounds") as table:
        table.drop_constraint("unit", type_="check")
        table.create_check_constraint("unit", "unit IN ('labels', 'images', 'cost', 'regions')")
    _partitions()
    _part_events()
    _parts()


def _append_only(table: str) -> None:
    for statement in dialect_of(op.get_bind()).append_only(table):
        op.execute(statement)


def _partitions() -> None:
    op.create_table(
        "partitions",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        reference("image_id", ID, "images", nullable=False),
        *columns(sa.Text, "digest", "maker", "version"),
        *columns(sa.JSON, "options"),
        *columns(sa.Integer, "count"),
        sa.CheckConstraint("count BETWEEN 1 AND 65535", name="count"),
    )
    op.create_index("partitions_by_image", "partitions", ["image_id", "digest"], unique=True)
    _append_only("partitions")


def _part_events() -> None:
    op.create_table(
        "part_events",
        sa.Column("id", ID, primary_key=True, autoincrement=False),
        reference("operation_id", ID, "operations", nullable=False),
        reference("image_id", ID, "images", nullable=False),
        reference("task_id", sa.Integer, "tasks", nullable=False),
        *columns(sa.Integer, "region", "answer"),
        reference("partition_id", ID, "partitions", nullable=False),
        *columns(sa.Integer, "from_state", "to_state", "round"),
        *columns(sa.Text, "request_id", "path", "digest"),
        sa.Column("value", sa.Integer),
        *columns(sa.Float, "cost"),
        sa.Column("score", sa.Float),
        *columns(sa.Float, "weight"),
        *columns(sa.Text, "why"),
        sa.Column("seconds", sa.Float),
        *columns(sa.Text, "annotator"),
        reference("class_list_id", sa.Integer, "class_lists"),
        sa.Column("hint", sa.Text, sa.CheckConstraint(HINTS, name="hint")),
        sa.CheckConstraint(
            "from_state BETWEEN 0 AND 3 AND to_state BETWEEN 0 AND 3", name="states"
        ),
        sa.CheckConstraint("region BETWEEN 1 AND 65535 AND answer >= 0", name="region"),
    )
    key = ["image_id", "task_id", "region", "answer"]
    op.create_index("part_events_by_part", "part_events", key)
    _append_only("part_events")


def _parts() -> None:
    op.create_table(
        "parts",
        reference("image_id", ID, "images", primary_key=True),
        reference("task_id", sa.Integer, "tasks", primary_key=True),
        sa.Column("region", sa.Integer, primary_key=True),
        sa.Column("answer", sa.Integer, primary_key=True),
        reference("partition_id", ID, "partitions", nullable=False),
        *columns(sa.Integer, "state", "round"),
        *columns(sa.Text, "request_id", "path", "digest"),
        sa.Column("value", sa.Integer),
        *columns(sa.Float, "cost", "weight"),
        sa.Column("seconds", sa.Float),
        *columns(sa.Text, "annotator"),
        reference("class_list_id", sa.Integer, "class_lists"),
        sa.CheckConstraint("state BETWEEN 1 AND 3", name="state"),
        sa.CheckConstraint("state != 2 OR (value IS NULL) != (path = '')", name="label"),
        sqlite_with_rowid=False,
    )
    op.create_index("parts_by_state", "parts", ["task_id", "state"])
