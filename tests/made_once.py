"""What every command makes for itself, made once for all that tests run in a process: its parser, the texts of SQL."""

from functools import cache
from typing import Any

import sqlalchemy
import typer.main
import typer.testing
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

from labelgrid.ledger import database

#: The parser of an application.
parser_of = cache(typer.main.get_command)
#: Statement -> its text, of all ledgers in files.
TEXTS: LRUCache[Any, Any] = LRUCache(2000)


class _Alike(SQLiteDialect_pysqlite):
    """The dialect of a ledger in a file; one is as another, so that texts made with one are found with another."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is _Alike

    def __hash__(self) -> int:
        return hash(_Alike)


def create_engine(url: str | sqlalchemy.URL, **options: Any) -> sqlalchemy.Engine:
    """As SQLAlchemy's, with the texts of all ledgers in files."""
    if not str(url).startswith("sqlite:"):
        return sqlalchemy.create_engine(url, **options)
    alike = sqlalchemy.make_url(url).set(drivername="sqlite+alike")
    return sqlalchemy.create_engine(alike, execution_options={"compiled_cache": TEXTS}, **options)


def make_once() -> None:
    """Do so in this process and its forks from now on."""
    sqlalchemy.dialects.registry.register("sqlite.alike", __name__, "_Alike")
    database.create_engine = create_engine
    typer.main.get_command = parser_of
    typer.testing._get_command = parser_of
