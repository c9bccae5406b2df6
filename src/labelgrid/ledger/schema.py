"""Defines the ledger's database tables, and the revision that this program reads."""

from pathlib import Path

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
REVISION = "0003"
MIGRATIONS = Path(__file__).parent / "migrations"
#: Not Alembic's default name, so that another program's database is never mistaken for a ledger.
VERSION_TABLE = "ledger_version"

#: The table of the revision, which Alembic makes.
VERSION = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
#: The tables whose rows are only ever added.
APPEND_ONLY = ("operations", "events")

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


def _removed() -> Column[bool]:
    """Whether an image or a task was removed: it stays for its history, unseen by all else."""
    return Column("removed", Boolean, nullable=False, server_default=false())


def _class_list() -> Column[int]:
    """The class list that a label was made with; null of other labels."""
    return Column("class_list_id", Integer, ForeignKey("class_lists.id"))


IMAGES = Table(
    "images",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("name", _Name, nullable=False, unique=True),
    Column("key", BigInteger, nullable=False),
    Column("root", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("split", Text, nullable=False),
    Column("grp", Text, nullable=False),
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
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", _Name, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("cost", Float, nullable=False),
    Column("options", JSON, nullable=False),
    _removed(),
    CheckConstraint("cost >= 0", name="cost"),
)

#: Each list of class names once, as JSON text.
CLASS_LISTS = Table(
    "class_lists",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("names", Text, nullable=False, unique=True),
)

#: A row a transaction that moves cells. Append-only, as the events.
OPERATIONS = Table(
    "operations",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("command", Text, nullable=False),
    Column("at", Text, nullable=False),
)

#: Append-only; triggers refuse changes and deletions.
EVENTS = Table(
    "events",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("operation_id", _Id, ForeignKey("operations.id"), nullable=False),
    Column("image_id", _Id, ForeignKey("images.id"), nullable=False),
    Column("task_id", Integer, ForeignKey("tasks.id"), nullable=False),
    Column("from_state", Integer, nullable=False),
    Column("to_state", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("cost", Float, nullable=False),
    Column("score", Float),
    Column("weight", Float, nullable=False),
    Column("why", Text, nullable=False),
    Column("seconds", Float),
    Column("annotator", Text, nullable=False),
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
    Column("state", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("cost", Float, nullable=False),
    Column("weight", Float, nullable=False),
    Column("seconds", Float),
    Column("annotator", Text, nullable=False),
    _class_list(),
    CheckConstraint("state BETWEEN 1 AND 3", name="state"),
    Index("cells_by_state", "task_id", "state", "cost", "image_id"),
    sqlite_with_rowid=False,
)
Index(
    "cells_by_request",
    CELLS.c.request_id,
    sqlite_where=CELLS.c.request_id != "",
)
Index(
    "cells_timed",
    CELLS.c.task_id,
    CELLS.c.seconds,
    sqlite_where=CELLS.c.seconds.is_not(None),
)

ROUNDS = Table(
    "rounds",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("budget", Float, nullable=False),
    Column("unit", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("note", Text, nullable=False),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    CheckConstraint("unit IN ('labels', 'images', 'cost')", name="unit"),
)

NOTES = Table(
    "notes",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)
