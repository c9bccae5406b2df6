"""Ledgers in which reading runs what somebody else wrote, or holds far more than any ledger does."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

from tests.torture.hostile import COMMANDS, Attack, outcome

TABLES = ("ledger_version", "notes", "images", "tasks", "cells", "events", "operations", "rounds")
#: An expression without an end, as a value.
ENDLESS = "(WITH RECURSIVE r(v) AS (SELECT '0' UNION ALL SELECT v FROM r) SELECT max(v) FROM r)"
#: Statements that put something else into the place of a table, whose columns are COLUMNS.
VIEWS = {
    "a view without an end": "DROP TABLE TABLE; CREATE VIEW TABLE AS SELECT VALUES",
    "a virtual table": "DROP TABLE TABLE; CREATE VIRTUAL TABLE TABLE USING fts5(COLUMNS)",
    "a view of another name": "CREATE VIEW more AS SELECT VALUES",
    # Added to a row that is there, it is computed by who reads it alone.
    "a computed column": "DROP TABLE TABLE; CREATE TABLE TABLE (a); "
    "INSERT INTO TABLE (a) VALUES (400000000); COMPUTED",
}
#: Statements that make one value far longer than any is.
LONG = {
    "options of 20 MB": "UPDATE tasks SET options = json_object('a', printf('%.*c', 20000000, 'x'))",
    "a name of 500 MB": "UPDATE images SET name = printf('%.*c', 500000000, 'x') WHERE id = 1",
    "a task's name of 20 MB": "UPDATE tasks SET name = printf('%.*c', 20000000, 'x') WHERE id = 1",
    "a note of 20 MB": "UPDATE notes SET value = printf('%.*c', 20000000, 'x')",
    "a revision of 100,000 digits": "UPDATE ledger_version SET version_num = printf('%.*c', 100000, '7')",
}


#: Runs statements on a database.
MAKE = """import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
ledger.execute("PRAGMA legacy_alter_table = 1")
for part in sys.argv[2:]:
    ledger.execute(part)
ledger.commit()
"""


@dataclass
class Views(Attack):
    """One such ledger, and each command of a project; what a command does not read does no harm."""

    name = "views and long values"

    @cached_property
    def trials(self) -> list[tuple[str, str]]:
        changes = {
            f"{what} in the place of {table}": statement.replace("TABLE TABLE", f"TABLE {table}")
            .replace("VIEW TABLE", f"VIEW {table}")
            .replace("INTO TABLE", f"INTO {table}")
            .replace("TABLE USING", f"{table} USING")
            for table in TABLES
            for what, statement in VIEWS.items()
        }
        return [
            (statement, command)
            for statement in (*changes.values(), *LONG.values())
            for command in COMMANDS
        ]

    def __call__(self, number: int) -> str:
        statement, command = self.trials[number]
        flat = self.stages.room("imported", self.room) / "flat"
        with closing(sqlite3.connect(flat / "labelgrid.db")) as ledger:
            parts = filled(ledger, statement)
        # Making it takes memory, too, which is not the program's.
        made = [sys.executable, "-c", MAKE, str(flat / "labelgrid.db"), *parts]
        subprocess.run(made, check=True)
        self.note = f"{statement[:90]}: {command}"
        words = command.replace("FLAT", str(flat)).replace("OUT", str(self.room / "out"))
        result = outcome(words.split())
        names_unread = "images SET name" in statement and command.startswith("status")
        harmless = "notes SET" in statement or names_unread
        return "wrong" if result == "right" and not harmless else result


def filled(ledger: sqlite3.Connection, statement: str) -> list[str]:
    """The statements, with the columns of their table."""
    name = statement.split()[2].rstrip(";")
    columns = [row[1] for row in ledger.execute(f"SELECT * FROM pragma_table_info('{name}')")]
    columns = columns or ["a"]
    text = (
        statement.replace("VALUES", ", ".join(f"{ENDLESS} AS {each}" for each in columns), 1)
        if "VIEW" in statement
        else statement
    )
    computed = "; ".join(
        f"ALTER TABLE {name} ADD COLUMN {each} GENERATED ALWAYS AS (hex(zeroblob(a)))"
        for each in columns
        if each != "a"
    )
    text = text.replace("COMPUTED", computed).replace("COLUMNS", ", ".join(columns))
    return [part for part in text.split("; ") if part]
