"""Says where a ledger is: a file, or a schema of a PostgreSQL database. No password is part of it.

Loads no driver.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from labelgrid.basics.config import read_toml
from labelgrid.basics.errors import LedgerError

#: The ledger's file in a project without another place.
FILE = "labelgrid.db"
#: The file of a project's settings, and the key of the ledger's place in it.
SETTINGS = "labelgrid.toml"
KEY = "ledger"
#: How a URL of a database begins.
DRIVER = "postgresql+psycopg"
#: What a URL may say beside the server and the database. No other option of the driver: one names
#: a file that it writes.
OPTIONS = ("host", "sslmode", "sslrootcert", "connect_timeout")
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_EXAMPLE = f"Write it as {DRIVER}://USER@HOST/DATABASE?schema=NAME."
_PASSWORDS = "Put it into ~/.pgpass, or into the file that PGPASSFILE names."


@dataclass(frozen=True, kw_only=True)
class DatabaseUrl:
    """A schema of a PostgreSQL database that holds a ledger.

    Args:
        database: its name.
        schema: its name; lower-case letters, digits and underscores.
        user: whose name is used to log in; empty: that of the operating system's user.
        host: the server; empty: this machine.
        port: its port; None: the usual one.
        options: the options of the connection, such as `sslmode`.

    Example:
        >>> str(DatabaseUrl(database="labels", schema="flat", user="ann", host="db.lab"))
        'postgresql+psycopg://ann@db.lab/labels?schema=flat'
    """

    database: str
    schema: str
    user: str = ""
    host: str = ""
    port: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def connection(self) -> URL:
        """The URL that SQLAlchemy connects to."""
        return self._url(self.options)

    def __str__(self) -> str:
        return self._url({**self.options, "schema": self.schema}).render_as_string()

    def _url(self, query: Mapping[str, str]) -> URL:
        return URL.create(
            DRIVER,
            username=self.user or None,
            host=self.host or None,
            port=self.port,
            database=self.database,
            query=query,
        )


#: Where a ledger is.
LedgerPlace = Path | DatabaseUrl


def database_url(text: str, schema: str = "") -> DatabaseUrl:
    """The place that a URL names.

    `schema` is for a URL that names none.

    Raises:
        LedgerError: it is no URL of PostgreSQL, or holds a password, which is not repeated.

    Example:
        >>> database_url("postgresql+psycopg://ann:secret@db.lab/labels")
        Traceback (most recent call last):
        labelgrid.basics.errors.LedgerError: The URL of the ledger holds a password.
          Put it into ~/.pgpass, or into the file that PGPASSFILE names.
    """
    try:
        url = make_url(text)
        port = url.port
    except (ArgumentError, ValueError) as error:
        raise LedgerError("The ledger's place is no URL.", next_step=_EXAMPLE) from error
    query = dict(url.query)
    if url.password is not None or "password" in query:
        raise LedgerError("The URL of the ledger holds a password.", next_step=_PASSWORDS)
    _check_parts(url, query)
    options = {name: str(value) for name, value in query.items()}
    schema = options.pop("schema", schema)
    if not _SCHEMA.fullmatch(schema):
        raise LedgerError(
            f"The URL of the ledger has the schema '{schema}'.",
            next_step="Add ?schema=NAME: lower-case letters, digits and underscores, at most 63, "
            "not beginning with a digit or pg_.",
        )
    return DatabaseUrl(
        database=url.database or "",
        schema=schema,
        user=url.username or "",
        host=url.host or "",
        port=port,
        options=options,
    )


def _check_parts(url: URL, query: Mapping[str, object]) -> None:
    if url.drivername not in (DRIVER, "postgresql"):
        raise LedgerError(
            f"A ledger on '{url.drivername}' is not possible: it can be on PostgreSQL.",
            next_step=_EXAMPLE,
        )
    if not url.database:
        raise LedgerError("The URL of the ledger names no database.", next_step=_EXAMPLE)
    for name, value in query.items():
        if name not in (*OPTIONS, "schema") or not isinstance(value, str):
            raise LedgerError(
                f"The URL of the ledger has the option '{name}', which is not possible.",
                next_step=f"Possible once each: schema, {', '.join(OPTIONS)}.",
            )


def schema_name(folder: Path) -> str:
    """The schema of a project's ledger whose URL names none: the folder's name, as far as it can.

    Example:
        >>> schema_name(Path("/data/Kitchen 2")), schema_name(Path("3rd"))
        ('kitchen_2', '_3rd')
    """
    name = re.sub(r"[^a-z0-9_]", "_", folder.absolute().name.lower())
    if re.match(r"\d|pg_", name):
        name = f"_{name}"
    return name[:63]


def read_place(text: str) -> LedgerPlace:
    """The place that a word means: a URL, or the path of a file.

    Example:
        >>> read_place("flat/labelgrid.db").name
        'labelgrid.db'
    """
    if "://" in text:
        return database_url(text)
    return Path(text)


def place_in(folder: Path, ledger: str) -> LedgerPlace:
    """The place of a project's ledger.

    `ledger` is the URL in the settings; empty: the project's file.

    Raises:
        LedgerError: it is no URL of PostgreSQL, or holds a password.
    """
    if not ledger:
        return folder / FILE
    try:
        return database_url(ledger)
    except LedgerError as error:
        error.where = str(folder / SETTINGS)
        raise


def project_place(folder: Path) -> LedgerPlace:
    """The place of the ledger of the project in a folder, by its settings.

    A folder without settings has the ledger's file.

    Raises:
        RecipeError: the settings are not TOML.
        LedgerError: the place in them is no URL of PostgreSQL, or holds a password.
    """
    path = folder / SETTINGS
    ledger = read_toml(path).get(KEY, "") if path.is_file() else ""
    return place_in(folder, str(ledger))
