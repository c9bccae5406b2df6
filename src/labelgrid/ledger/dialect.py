"""Describes the differences of databases: locking, durability and error codes."""

from collections.abc import Sequence, Set
from typing import Protocol

from sqlalchemy import URL, Connection, Engine, Table

from labelgrid.basics.type_names import Json, Values

#: How long a process waits for another one's write transaction.
WAIT_SECONDS = 60
#: An error's meaning, and what to do about it.
Meaning = tuple[str, str]
#: Things of a schema; each a kind and a name.
Objects = Set[tuple[str, str]]
#: The database is not labelgrid's.
FOREIGN: Meaning = (
    "it is not a labelgrid database",
    "Name the folder that `labelgrid init` created.",
)
#: The most bytes of a value or a row: a task of ten thousand classes has fewer by far.
LONGEST = 2**23
TOO_LONG: Meaning = (
    f"a text in it is longer than {LONGEST >> 20} MiB, which labelgrid does not write",
    "Restore the ledger from a copy, or use a project whose origin you know.",
)
#: The key of its dialect in a connection's `info`.
KEY = "labelgrid.dialect"


class Dialect(Protocol):
    """A kind of database, at a place.

    All other code in `labelgrid.ledger` is SQLAlchemy that runs on SQLite and PostgreSQL. What a
    database has no own way of does nothing.
    """

    #: Whether a sum adds its rows in an order that depends on them alone, not on the plan.
    sums_in_order: bool

    def url(self) -> URL:
        """The URL that the engine connects to."""

    def arguments(self) -> Json:
        """The arguments of the driver's `connect`."""

    def attach(self, engine: Engine) -> None:
        """Set up each connection of the engine, and how its transactions begin.

        A transaction whose connection has the execution option `writing` sees the newest state and
        makes other writers wait; with `creating`, there may be no table yet. Every commit is
        flushed to the disk.
        """

    def check_new(self) -> None:
        """Check that a ledger could be made at the place.

        Raises:
            LedgerError: it could not.
        """
        return

    def check_there(self) -> None:
        """Check that a ledger may be at the place, before opening the place.

        Raises:
            LedgerError: there is none.
        """
        return

    def share(self, connection: Connection) -> None:
        """Allow readers and one writer to work at the same time, from now on."""
        return

    def create(self, connection: Connection) -> None:
        """Make the container of the tables, inside the transaction that makes the tables."""
        return

    def remove(self, connection: Connection) -> None:
        """Remove a ledger's tables and their helpers."""
        return

    def insert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Values],
        *,
        skip_existing: bool = False,
    ) -> int:
        """Insert rows with the same columns in the same order, and return the number of new rows.

        There is at least one row, without values of JSON columns. With `skip_existing`, rows with
        existing keys are skipped, otherwise refused.
        """

    def append_only(self, table: str) -> Sequence[str]:
        """The statements that make a table's rows impossible to change or delete."""

    def objects(
        self, connection: Connection, tables: Sequence[Table], append_only: Sequence[str]
    ) -> tuple[Objects, Objects]:
        """The objects of a database's schema and the expected objects, as kinds and names.

        A view in place of a table, or a trigger of somebody else's, would run in any command.

        The rows of the tables `append_only` cannot be changed or deleted.
        """

    def check_keys(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Refuse indexed texts longer than `LONGEST` where following an index would load them.

        Raises:
            DBAPIError: there is one; `meaning` says so.
        """
        return

    def meaning(self, cause: BaseException) -> Meaning | None:
        """The meaning of the driver's error, if it has a known cause."""

    def is_lost(self, cause: BaseException) -> bool:
        """Whether the driver's error says that there is no connection any longer, or yet."""
        return False

    def was_interrupted(self, cause: BaseException) -> bool:
        """Whether the driver's error only says that a signal has ended a statement."""
        return False

    def transaction_number(self, connection: Connection) -> str:
        """A number for `was_committed`; empty for a database that needs none."""
        return ""

    def was_committed(self, connection: Connection, number: str) -> bool | None:
        """Whether an earlier transaction, whose connection is lost, was committed.

        The connection has waited until the earlier transaction ended.

        Returns:
            None if the database does not know.
        """
        return None


def locked() -> Meaning:
    """The meaning of the error of a process that has waited too long."""
    return (
        f"another process has kept it locked for {WAIT_SECONDS} s",
        "Wait for it or stop it, and run again.",
    )
