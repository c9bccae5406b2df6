"""Creates a ledger's database and the first rows in a transaction."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from sqlalchemy import inspect

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger import database
from labelgrid.ledger.database import Database
from labelgrid.ledger.dialect import Dialect
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.row_values import UNCHANGED


def create_database(place: LedgerPlace, dialect: Dialect | None = None) -> Database:
    """Create a new database; an empty file or schema is used.

    Raises:
        LedgerError: it exists already, or it cannot be written.
    """
    base = Database(place, dialect)
    try:
        with creation(base):
            pass
    except BaseException:
        base.close()
        raise
    return base


@contextmanager
def creation(base: Database, command: str = "") -> Iterator[None]:
    """Create a database's tables, and run the block in the same transaction.

    `command` names the operation that the block's moves belong to.

    Raises:
        LedgerError: it has tables, or it cannot be written.
    """
    base.dialect.check_new()
    _refuse_tables(base)
    base.share()
    with base.writing(command, creating=True) as connection:
        base.dialect.create(connection)
        _refuse_tables(base)  # again: another process may have created it meanwhile
        database.migrate(connection)
        yield
    base.keep_revision()


def discard(place: LedgerPlace) -> None:
    """Remove the tables of a ledger; of a ledger in a file, nothing.

    Raises:
        LedgerError: there is none, or it cannot be written.
    """
    with closing(Database(place)) as base:
        base.again(partial(_remove, base))  # all or nothing, so it can be repeated


def _remove(base: Database) -> None:
    with base.writing() as connection:
        base.dialect.remove(connection)


def _refuse_tables(base: Database) -> None:
    with base.reading() as connection:
        if inspect(connection).get_table_names():
            raise LedgerError(
                "A database exists already.",
                where=base.place,
                next_step="Open it, or choose another place.",
                unchanged=UNCHANGED,
            )
