"""Defines the ledger's database tables and their revision."""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    literal_column,
)

#: The newest file in `migrations/versions`; a test compares the tables below with the result of the
#: migrations.
REVISION = "0004"
MIGRATIONS = Path(__file__).parent / "migrations"
#: Not Alembic's default name, so that another program's database is never mistaken for a ledger.
VERSION_TABLE = "ledger_version"

#: The table of the revision, which Alembic makes.
VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
#: The tables whose rows are only ever added.
APPEND_ONLY = ("operations", "events", "partitions", "part_events")

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite numbers rows by itself only where the type is exactly INTEGER (which has 64 bits there).
_Id = BigInteger().with_variant(Integer, "sqlite")
# Names are ordered by code point, as Python orders them, whatever the database's own collation is.
_Name = (
    Text()
    .with_variant(Text(collation="BINARY"), "sqlite")
    .with_variant(Text(collation="C"), "postgresql")
)


def _key(name: str, kind: Any = Integer) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _columns(kind: Any, *names: str) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in names]


def _removed() -> Column[bool]:
    """Whether an image or a task was removed; the row stays for its history."""
    return Column("removed", Boolean, nullable=False, server_default=false())


def _class_list() -> Column[int]:
    """The class list that a label was made with, or null."""
    return Column("class_list_id", Integer, ForeignKey("class_lists.id"))


IMAGES = Table(
    "images",
    METADATA,
    _key("id", _Id),
    Column("name", _Name, nullable=False, unique=True),
    *_columns(BigInteger, "key"),
    *_columns(Text, "root", "digest"),
    *_columns(Integer, "height", "width"),
    *_columns(Text, "split", "grp"),
    _removed(),
    Index("images_by_split", "removed", "split"),
    # `none: NAME` is the split of images that a command of before put into the split NAME.
    CheckConstraint(
        "split IN ('train', 'val', 'test', 'heldout') OR split LIKE 'none: %'", name="split"
    ),
    CheckConstraint("height >= 0 AND width >= 0", name="size"),
)

TASKS = Table(
    "tasks",
    METADATA,
    _key("id"),
    Column("name", _Name, nullable=False, unique=True),
    *_columns(Text, "kind"),
    *_columns(Float, "cost"),
    *_columns(JSON, "options"),
    _removed(),
    CheckConstraint("cost >= 0", name="cost"),
)

#: Each list of class names once, as JSON text.
CLASS_LISTS = Table(
    "class_lists",
    METADATA,
    _key("id"),
    Column("names", Text, nullable=False, unique=True),
)

#: A row a transaction that moves cells. Append-only, as the events.
OPERATIONS = Table("operations", METADATA, _key("id", _Id), *_columns(Text, "command", "at"))

#: Append-only; triggers refuse changes and deletions.
EVENTS = Table(
    "events",
    METADATA,
    _key("id", _Id),
    Column("operation_id", _Id, ForeignKey("operations.id"), nullable=False),
    Column("image_id", _Id, ForeignKey("images.id"), nullable=False),
    Column("task_id", Integer, ForeignKey("tasks.id"), nullable=False),
    *_columns(Integer, "from_state", "to_state", "round"),
    *_columns(Text, "request_id", "path", "digest"),
    *_columns(Float, "cost"),
    Column("score", Float),
    *_columns(Float, "weight"),
    *_columns(Text, "why"),
    Column("seconds", Float),
    *_columns(Text, "annotator"),
    _class_list(),
    Column("hint", Text, CheckConstraint("hint IN ('nothing', 'model', 'supplier')", name="hint")),
    CheckConstraint("from_state BETWEEN 0 AND 3 AND to_state BETWEEN 0 AND 3", name="states"),
    Index("events_by_cell", "image_id", "task_id"),
)
# Naming PostgreSQL's conditions would load its dialect in every command; they are in the migration,
# which makes the indexes.
#: Whether an event is an answer. The states are written out: SQLite uses a partial index only for a
#: condition that is literally its own.
IS_ANSWER = EVENTS.c.to_state.in_((literal_column("2"), literal_column("3")))
#: Covers the sum of costs in `counts`, so that the wide event rows are not read.
Index(
    "events_paid",
    EVENTS.c.task_id,
    EVENTS.c.operation_id,
    EVENTS.c.image_id,
    EVENTS.c.to_state,
    EVENTS.c.cost,
    sqlite_where=IS_ANSWER,
)

#: The last event of every cell that is not missing.
CELLS = Table(
    "cells",
    METADATA,
    Column("image_id", _Id, ForeignKey("images.id"), primary_key=True),
    Column("task_id", Integer, ForeignKey("tasks.id"), primary_key=True),
    *_columns(Integer, "state", "round"),
    *_columns(Text, "request_id", "path", "digest"),
    *_columns(Float, "cost", "weight"),
    Column("seconds", Float),
    *_columns(Text, "annotator"),
    _class_list(),
    CheckConstraint("state BETWEEN 1 AND 3", name="state"),
    Index("cells_by_state", "task_id", "state", "cost", "image_id"),
    sqlite_with_rowid=False,
)
Index("cells_by_request", CELLS.c.request_id, sqlite_where=CELLS.c.request_id != "")
Index("cells_timed", CELLS.c.task_id, CELLS.c.seconds, sqlite_where=CELLS.c.seconds.is_not(None))

ROUNDS = Table(
    "rounds",
    METADATA,
    _key("number"),
    *_columns(Text, "state", "strategy"),
    *_columns(BigInteger, "seed"),
    *_columns(Float, "budget"),
    *_columns(Text, "unit", "recipe", "model"),
    *_columns(Text, "pool", "note"),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    CheckConstraint("unit IN ('labels', 'images', 'cost', 'regions')", name="unit"),
)

#: How images were divided into regions, once each. Append-only.
PARTITIONS = Table(
    "partitions",
    METADATA,
    _key("id", _Id),
    Column("image_id", _Id, ForeignKey("images.id"), nullable=False),
    *_columns(Text, "digest", "maker", "version"),
    *_columns(JSON, "options"),
    *_columns(Integer, "count"),
    CheckConstraint("count BETWEEN 1 AND 65535", name="count"),
    Index("partitions_by_image", "image_id", "digest", unique=True),
)

#: As the events, of regions of cells. Append-only.
PART_EVENTS = Table(
    "part_events",
    METADATA,
    _key("id", _Id),
    Column("operation_id", _Id, ForeignKey("operations.id"), nullable=False),
    Column("image_id", _Id, ForeignKey("images.id"), nullable=False),
    Column("task_id", Integer, ForeignKey("tasks.id"), nullable=False),
    *_columns(Integer, "region", "answer"),
    Column("partition_id", _Id, ForeignKey("partitions.id"), nullable=False),
    *_columns(Integer, "from_state", "to_state", "round"),
    *_columns(Text, "request_id", "path", "digest"),
    Column("value", Integer),
    *_columns(Float, "cost"),
    Column("score", Float),
    *_columns(Float, "weight"),
    *_columns(Text, "why"),
    Column("seconds", Float),
    *_columns(Text, "annotator"),
    _class_list(),
    Column("hint", Text, CheckConstraint("hint IN ('nothing', 'model', 'supplier')", name="hint")),
    CheckConstraint("from_state BETWEEN 0 AND 3 AND to_state BETWEEN 0 AND 3", name="states"),
    CheckConstraint("region BETWEEN 1 AND 65535 AND answer >= 0", name="region"),
    Index("part_events_by_part", "image_id", "task_id", "region", "answer"),
)

#: The last event of every region of a cell that is not missing.
PARTS = Table(
    "parts",
    METADATA,
    Column("image_id", _Id, ForeignKey("images.id"), primary_key=True),
    Column("task_id", Integer, ForeignKey("tasks.id"), primary_key=True),
    Column("region", Integer, primary_key=True),
    Column("answer", Integer, primary_key=True),
    Column("partition_id", _Id, ForeignKey("partitions.id"), nullable=False),
    *_columns(Integer, "state", "round"),
    *_columns(Text, "request_id", "path", "digest"),
    Column("value", Integer),
    *_columns(Float, "cost", "weight"),
    Column("seconds", Float),
    *_columns(Text, "annotator"),
    _class_list(),
    CheckConstraint("state BETWEEN 1 AND 3", name="state"),
    CheckConstraint("state != 2 OR (value IS NULL) != (path = '')", name="label"),
    Index("parts_by_state", "task_id", "state"),
    sqlite_with_rowid=False,
)

NOTES = Table("notes", METADATA, Column("key", Text, primary_key=True), *_columns(JSON, "value"))


def key_columns(table: Any) -> list[Column[Any]]:
    """The columns of events, or of current rows, that name a cell or a part."""
    names = ("image_id", "task_id", "region", "answer")
    return [table.c[name] for name in names if name in table.c]
