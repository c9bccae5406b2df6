"""The ledger in a schema of a database: what is PostgreSQL's own. Loads psycopg."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from sqlalchemy import URL, Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.type_names import Json, Values
from labelgrid.ledger import dialect
from labelgrid.ledger.dialect import KEY, Dialect, Meaning, Objects
from labelgrid.ledger.place import DatabaseUrl
from labelgrid.ledger.schema import METADATA, VERSION, VERSION_TABLE

try:
    import psycopg
except ImportError as error:
    raise LedgerError(
        f"A ledger on PostgreSQL needs a package that is not installed: {error.name} is missing.",
        next_step="Install it: pip install 'labelgrid[postgres]'.",
        unchanged="Nothing was changed.",
    ) from error

#: The oldest release that this runs on: it says whether an earlier transaction was committed.
OLDEST = 13
#: The first release of the driver's library that can refuse to send a password as it is.
REFUSES_PLAIN = 160_000
#: How long a server may take to accept a connection, in seconds.
CONNECT_SECONDS = 10
#: After so many new rows of a table in one transaction the server learns what the table holds. By
#: itself it does so up to a minute later, and until then it reads whole tables to find a few rows.
MANY = 10_000
#: The key of the numbers of new rows in a connection's `info`.
_NEW = "labelgrid.new_rows"
#: The function of the triggers that keep rows from being changed.
ONLY_ADDED = "only_added"
_ONLY_ADDED_BODY = " BEGIN RAISE EXCEPTION '% are only ever added', TG_TABLE_NAME; END "
#: What its triggers are: run once before a statement that updates, deletes or empties (PostgreSQL's
#: bits of these); switched on; the function's code.
_ONLY_ADDED = (2 + 8 + 16 + 32, "O", _ONLY_ADDED_BODY)
_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "i": "index",
    "I": "partitioned index",
    "S": "sequence",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "c": "type",
}
_DIALECT = postgresql.dialect()
_HERE = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
_RELATIONS = (
    "SELECT relkind::text, relname::text, relrowsecurity, relhasrules FROM pg_class "
    f"WHERE relnamespace = {_HERE}"
)
_TRIGGERS = (
    "SELECT t.tgname::text, c.relname::text, t.tgtype, t.tgenabled::text, p.prosrc "
    "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    f"WHERE NOT t.tgisinternal AND c.relnamespace = {_HERE}"
)
_FUNCTIONS = f"SELECT proname::text FROM pg_proc WHERE pronamespace = {_HERE}"

_LOGIN = (
    "the server refuses the login",
    "Check the user in the URL, and the password in ~/.pgpass or the file that PGPASSFILE names; "
    "PGPASSWORD is not read.",
)
_LOST = ("the connection to the server was lost", "Run again when the server answers.")
_NO_DATABASE = ("there is no such database on the server", "Create it: `createdb NAME`.")
_RIGHTS = (
    "its user has not the right to do this",
    "Let the owner of the database grant it: CREATE on the database for `init`, and on the schema "
    "and its tables for all else.",
)
_BUSY = ("another process changed it at the same time", "Run again.")


class PostgreSQL(Dialect):
    """PostgreSQL: a schema for each ledger, so that no ledger waits for another.

    Args:
        place: the schema.
        read_only: refuse to write.
    """

    #: Prefix of the error's code (SQLSTATE) -> meaning.
    FAULTS: ClassVar[Mapping[str, Meaning]] = {
        "08": _LOST,
        "57P": _LOST,
        "25P03": _LOST,
        "25006": ("it cannot be written", "Connect to a server that can be written."),
        "28": _LOGIN,
        "3D000": _NO_DATABASE,
        "40": _BUSY,
        "42501": _RIGHTS,
        "42P01": dialect.FOREIGN,
        "53100": ("the disk of the server is full", "Free some space there and run again."),
        "53": (
            "the server is short of memory or connections",
            "Close other programs that use it, or raise its limits, and run again.",
        ),
        "XX": ("it is damaged", "Restore a copy of the database."),
    }
    LOCKED = "55P03"
    #: What the server says when it refuses a connection, which has no code -> meaning.
    SAID: ClassVar[Mapping[str, Meaning]] = {
        "authentication failed": _LOGIN,
        "no password supplied": _LOGIN,
        "pg_hba.conf": _LOGIN,
        "authentication method requirement": (
            "the server asks for the password as it is, over a connection that is not verified",
            "Add sslmode=verify-full to the URL, or let the server use scram-sha-256.",
        ),
    }
    #: What the driver says of a connection that was there.
    GONE = ("server closed", "connection is closed", "connection is lost", "terminating")
    #: What holds for each session.
    SETTINGS: ClassVar[Mapping[str, str]] = {
        "synchronous_commit": "on",
        "row_security": "off",  # a policy that hides rows is an error
        "jit": "off",  # compiling takes longer than these statements
        "random_page_cost": "1.1",  # of a disk without moving parts; 4 reads whole tables for a few
        "tcp_keepalives_idle": "60",  # the lock of a machine that is gone is given back
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "6",
    }
    sums_in_order = False

    def __init__(self, place: DatabaseUrl, *, read_only: bool = False) -> None:
        self.place = place
        self.read_only = read_only

    def url(self) -> URL:
        """As `Dialect.url`, without the schema."""
        return self.place.connection()

    def arguments(self) -> Json:
        """As `Dialect.arguments`, for the connection and its session."""
        settings = {
            **self.SETTINGS,
            "search_path": self.place.schema,
            "lock_timeout": str(max(1, round(dialect.WAIT_SECONDS * 1000))),
            "default_transaction_read_only": "on" if self.read_only else "off",
        }
        arguments = {
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            "application_name": "labelgrid",
            "client_encoding": "utf8",
            "keepalives_idle": 60,
            "keepalives_interval": 10,
            "keepalives_count": 6,
            # Else PGPASSWORD or a service file says it, to whatever server the URL names.
            "password": "",
        }
        if "connect_timeout" not in self.place.options:
            arguments["connect_timeout"] = CONNECT_SECONDS
        verified = self.place.options.get("sslmode") in ("verify-ca", "verify-full")
        if not verified and psycopg.pq.version() >= REFUSES_PLAIN:
            arguments["require_auth"] = "!password"
        return arguments

    def attach(self, engine: Engine) -> None:
        """As `Dialect.attach`.

        A writer first locks the table of the revision. A lock takes no snapshot, so the writer
        reads all that the writer before it wrote. A reader sees one snapshot. After many new rows
        the server learns what its tables hold.
        """
        creating = f"SELECT pg_advisory_xact_lock(hashtextextended('{self.place.schema}', 0))"
        writing = f"LOCK TABLE {VERSION_TABLE} IN SHARE ROW EXCLUSIVE MODE"
        levels = psycopg.IsolationLevel

        def connect(connection: Any, record: Any) -> None:
            record.info[KEY] = self

        def begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            is_writing = options.get("writing", False)
            connection.info[_NEW] = Counter[str]()
            driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
            # Sent with the first statement.
            driver.read_only = self.read_only or not is_writing
            driver.isolation_level = levels.READ_COMMITTED if is_writing else levels.REPEATABLE_READ
            if is_writing:
                connection.exec_driver_sql(creating if options.get("creating") else writing)

        def commit(connection: Connection) -> None:
            for table, count in connection.info[_NEW].items():
                if count >= MANY:
                    connection.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {table}")

        event.listen(engine, "connect", connect)
        event.listen(engine, "begin", begin)
        event.listen(engine, "commit", commit)

    def create(self, connection: Connection) -> None:
        """As `Dialect.create`: the schema, if nobody has made it for us.

        Raises:
            LedgerError: the server is too old, or the database does not hold every text.
        """
        query = (
            "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
        )
        version, encoding = connection.exec_driver_sql(query).one()
        if version < OLDEST * 10_000:
            raise LedgerError(
                f"The server is PostgreSQL {version // 10_000}; {OLDEST} or newer is needed.",
                where=self.place,
                next_step="Use a newer one.",
            )
        if encoding != "UTF8":
            raise LedgerError(
                f"The database has the encoding {encoding}, which does not hold every name.",
                where=self.place,
                next_step="Create one with UTF8: `createdb -E UTF8 -T template0 NAME`.",
            )
        if connection.exec_driver_sql("SELECT current_schema()").scalar() is None:
            connection.exec_driver_sql(f'CREATE SCHEMA "{self.place.schema}"')

    def remove(self, connection: Connection) -> None:
        """As `Dialect.remove`; the schema stays."""
        METADATA.drop_all(connection)
        VERSION.drop(connection)
        connection.exec_driver_sql(f"DROP FUNCTION {ONLY_ADDED}")

    def insert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Values],
        *,
        skip_existing: bool = False,
    ) -> int:
        """As `Dialect.insert`: one array a column, twice as fast as a row each."""
        columns = [table.columns[name] for name in rows[0]]
        values: dict[str, list[Any]] = {column.name: [] for column in columns}
        for row in rows:
            for name, value in row.items():
                values[name].append(value)
        names = ", ".join(map(connection.dialect.identifier_preparer.format_column, columns))
        types = [column.type.compile(_DIALECT).partition(" COLLATE")[0] for column in columns]
        arrays = ", ".join(
            f"%({name})s::{type}[]" for name, type in zip(values, types, strict=True)
        )
        skipping = " ON CONFLICT DO NOTHING" if skip_existing else ""
        result = connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}){skipping}",
            values,
            execution_options={"preserve_rowcount": True},
        )
        connection.info[_NEW][table.name] += result.rowcount
        return result.rowcount

    def append_only(self, table: str) -> Sequence[str]:
        """As `Dialect.append_only`: a trigger, whose function all tables share."""
        return [
            f"CREATE OR REPLACE FUNCTION {ONLY_ADDED}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $${_ONLY_ADDED_BODY}$$",
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {ONLY_ADDED}()",
        ]

    def objects(
        self, connection: Connection, tables: Sequence[Table], append_only: Sequence[str]
    ) -> tuple[Objects, Objects]:
        """As `Dialect.objects`; triggers are compared by their effects."""
        expected: set[tuple[str, str]] = {("function", ONLY_ADDED)}
        for table in tables:
            expected.add(("table", table.name))
            expected.update(("index", str(name)) for name in _index_names(table))
        for name in append_only:
            expected.add(_trigger((f"{name}_no_change", name, *_ONLY_ADDED)))
        present = set(_relations(connection))
        present.update(map(_trigger, connection.exec_driver_sql(_TRIGGERS)))
        names = connection.exec_driver_sql(_FUNCTIONS).scalars()
        present.update(("function", name) for name in names)
        return present, expected

    def meaning(self, cause: BaseException) -> Meaning | None:
        """As `Dialect.meaning`, by the error's code; a failed connection has none."""
        if not isinstance(cause, psycopg.Error):
            return None
        code = cause.sqlstate or ""
        if code == self.LOCKED:
            return dialect.locked()
        for start, meaning in self.FAULTS.items():
            if code.startswith(start):
                return meaning
        if code or not isinstance(cause, psycopg.OperationalError):
            return None
        return self._meaning_without_code(str(cause))

    def _meaning_without_code(self, said: str) -> Meaning:
        for words, meaning in self.SAID.items():
            if words in said:
                return meaning
        if any(words in said for words in self.GONE):
            return _LOST
        if f'database "{self.place.database}" does not exist' in said:
            return _NO_DATABASE
        if "role " in said and "does not exist" in said:
            return _LOGIN
        words = " ".join(said.split())
        return f"the server does not answer: {words}", "Check the URL, and that the server runs."

    def is_lost(self, cause: BaseException) -> bool:
        """As `Dialect.is_lost`: also if the server starts, or its machine does not answer."""
        if not isinstance(cause, psycopg.OperationalError):
            return False
        code = cause.sqlstate or ""
        if code:
            return code.startswith(("08", "25P03", "57P"))
        said = str(cause)
        return "does not exist" not in said and not any(words in said for words in self.SAID)

    def transaction_number(self, connection: Connection) -> str:
        """As `Dialect.transaction_number`: the server's own number."""
        return connection.exec_driver_sql("SELECT pg_current_xact_id()::text").scalar_one()

    def was_committed(self, connection: Connection, number: str) -> bool | None:
        """As `Dialect.was_committed`, while the server remembers."""
        query = f"SELECT pg_xact_status('{int(number)}'::xid8)"
        status = connection.exec_driver_sql(query).scalar()
        return {"committed": True, "aborted": False}.get(str(status))


def _index_names(table: Table) -> Iterator[Any]:
    if table is VERSION:
        yield f"{VERSION_TABLE}_pkc"
        return
    yield table.primary_key.name
    yield from (index.name for index in table.indexes)
    yield from (f"uq_{table.name}_{column.name}" for column in table.columns if column.unique)


def _relations(connection: Connection) -> Iterator[tuple[str, str]]:
    """The tables, indexes and the like of the schema, and rules and policies of tables."""
    for kind, name, has_policies, has_rules in connection.exec_driver_sql(_RELATIONS):
        yield _KINDS.get(kind, kind), name
        if has_policies:
            yield "policy of the table", name
        if has_rules and kind != "v":
            yield "rule of the table", name


def _trigger(row: Iterable[Any]) -> tuple[str, str]:
    """A trigger as a text of its name, table, kind, state and code."""
    name, table, kind, enabled, body = row
    return "trigger", f"{name} on {table} ({kind}, {enabled}):{body}"
