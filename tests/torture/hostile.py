"""Hostile settings, recipes, ledgers, checkpoints and tables of scores: read by the functions and commands that do."""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.basics.trusted_code import VARIABLE
from labelgrid.project.settings import read_settings
from labelgrid.recipes.resolve import check_recipe, load_recipe
from labelgrid.score.table_files import read_table
from labelgrid.train.checkpoint import load
from tests.databases import change, changing, columns, empty_log
from tests.e2e.commands import typed
from tests.hostile.test_settings import DEEP, FINE, KEYS, LONG, VALUES
from tests.hostile.test_strangers_project import SETTINGS
from tests.torture.mutated import MUTATIONS
from tests.torture.projects import Stages, init_words

#: Values for any cell of any table of a ledger.
ROWS: tuple[Any, ...] = (
    None,
    -1,
    2**62,
    1e308,
    float("inf"),
    "",
    "../../x",
    "\x1b[2J",
    "a" * 10_000,
    b"\0\xff",
    "{}",
)
TABLES = (
    *("images", "tasks", "class_lists", "cells"),
    *("operations", "events", "rounds", "notes"),
)
COMMANDS = (
    "status FLAT",
    "export FLAT --labels --out OUT",
    "verify FLAT",
    "query FLAT --budget 1 --no-prelabels",
)


def outcome(words: list[str]) -> str:
    """How a command ends, which may not be by an exception."""
    result = typed(*words)
    if result.code == 0:
        return "right"
    return "refused" if result.err.strip() and result.code in (1, 2) else "traceback"


@dataclass
class Attack:
    """What attacks share: the projects, a folder for each worker, and a note on the trial."""

    folder: Path
    seed: int = 0
    note: str = field(default="", init=False)

    @property
    def stages(self) -> Stages:
        return Stages(self.folder)

    @property
    def room(self) -> Path:
        return self.folder / f"rooms/{os.getpid()}"

    def draw(self, number: int) -> random.Random:
        return random.Random(f"{type(self).__name__} {self.seed} {number}")

    def named(self, number: int) -> str:
        return str(self.name)  # type: ignore[attr-defined]


@dataclass
class Recipes(Attack):
    """Absurd values for every key, which must be refused, and recipes with mutated text."""

    name = "hostile recipes"

    @cached_property
    def values(self) -> list[tuple[str, str, str]]:
        keys = [(table, key) for table, text in KEYS.items() for key in text.split()]
        return [(table, key, value) for table, key in keys for value in VALUES]

    def __call__(self, number: int) -> str:
        path, expected = self.room / "a.toml", "wrong"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < len(self.values):
            table, key, value = self.values[number]
            path.write_text(f'extends = "small"\n[{table}]\n{key} = {value}\n')
            fine = FINE.get((key, value)) or (
                key in ("clip", "steps", "initial") and value == "1e9"
            )
            expected, self.note = "right" if fine else "wrong", f"{key} = {value[:40]}"
        else:
            path.write_bytes(
                mutated_text((self.stages.data / "tiny.toml").read_bytes(), self.draw(number))
            )
            expected = "right"
        check_recipe(load_recipe(str(path)))
        return expected


def mutated_text(data: bytes, draw: random.Random) -> bytes:
    """TOML with other lines, values and bytes."""
    lines = data.splitlines()
    place = draw.randrange(len(lines))
    key = lines[place].split(b"=")[0]
    match draw.randrange(5):
        case 0:
            lines[place] = (
                key + b"= " + draw.choice([*VALUES, DEEP, LONG, '"../x"', "[]", "[1, 2]"]).encode()
            )
        case 1:
            lines.insert(draw.randrange(len(lines)), lines[place])
        case 2:
            draw.shuffle(lines)
        case 3:
            return draw.choice(list(MUTATIONS.values()))(data, draw)
        case _:
            lines[place] = key + b"x = 1"
    return b"\n".join(lines)


@dataclass
class SettingsFiles(Attack):
    """Hostile `labelgrid.toml`: settings that name code, and mutated text.

    Each is read, and given to a command.
    """

    name = "hostile settings files"

    def __call__(self, number: int) -> str:
        flat, draw = self.stages.room("asked", self.room) / "flat", self.draw(number)
        os.environ[VARIABLE] = ""
        ran, texts = self.room / "ran", list(SETTINGS.values())
        if number < 4 * len(texts):
            text = texts[number // 4].format(ran=ran).encode() + b"\n"
        else:
            text = mutated_text((flat / "labelgrid.toml").read_bytes(), draw)
        (flat / "labelgrid.toml").write_bytes(text)
        words = (
            COMMANDS[number % 4].replace("FLAT", str(flat)).replace("OUT", str(self.room / "out"))
        )
        self.note = f"{words} {text[:80]!r}"
        result = outcome(words.split())
        try:
            read_settings(flat / "labelgrid.toml")
        except LabelgridError:
            assert result == "refused" or "verify" in words or "status" in words, (
                "read by one, refused by another"
            )
        return "wrong" if ran.exists() else result


@dataclass
class Ledgers(Attack):
    """A ledger with foreign values, and one whose file is damaged; the label files must stay."""

    name = "hostile ledgers"

    def __call__(self, number: int) -> str:
        flat, draw = self.stages.room("imported", self.room) / "flat", self.draw(number)
        before = {path: path.read_bytes() for path in (flat / "labels").rglob("*.*")}
        outside = set(self.folder.iterdir())
        base = flat / "labelgrid.db"
        self.note = foreign(base, draw) if number % 3 else "damaged"
        if not number % 3:
            empty_log(base)
            base.write_bytes(draw.choice(list(MUTATIONS.values()))(base.read_bytes(), draw))
        words = (
            COMMANDS[number // 3 % 4]
            .replace("FLAT", str(flat))
            .replace("OUT", str(self.room / "out"))
        )
        self.note += f" {words}"
        result = outcome(words.split())
        if {path: path.read_bytes() for path in before if path.exists()} != before:
            return "lost"
        return (
            "wrong"
            if set(self.folder.iterdir()) != outside
            else "unnoticed"
            if result == "right"
            else result
        )


#: What only a foreign ledger has: it must be refused before anything is read from it.
SCHEMAS = (
    "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM cells; END",
    "CREATE TRIGGER t AFTER UPDATE ON cells BEGIN SELECT RAISE(IGNORE); END",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TABLE other (x INTEGER)",
    "CREATE INDEX i ON notes (value)",
    "DROP TABLE notes; CREATE VIEW notes AS WITH RECURSIVE r(value) AS "
    "(SELECT '1' UNION ALL SELECT value FROM r) SELECT value AS key, value FROM r",
)


@dataclass
class Schemas(Attack):
    """A ledger with a foreign schema, for each command."""

    name = "foreign schemas"

    def __call__(self, number: int) -> str:
        flat = self.stages.room("answered", self.room) / "flat"
        schema = SCHEMAS[number % len(SCHEMAS)]
        change(flat / "labelgrid.db", *schema.split("; CREATE VIEW")[:1])
        if "; CREATE VIEW" in schema:
            change(flat / "labelgrid.db", "CREATE VIEW" + schema.partition("; CREATE VIEW")[2])
        commands = (*COMMANDS, "import FLAT FLAT/rounds/0001/request")
        words = commands[number // len(SCHEMAS) % len(commands)]
        self.note = f"{schema}: {words}"
        words = words.replace("FLAT", str(flat)).replace("OUT", str(self.room / "out"))
        result = outcome(words.split())
        return "wrong" if result == "right" else result


@dataclass
class Threads(Attack):
    """Commands where no thread can start."""

    name = "no threads"

    def __call__(self, number: int) -> str:
        room = self.stages.room("answered", self.room)
        data = self.stages.data
        commands = (
            f"init {room}/new {init_words(data)}",
            f"import {room}/flat {room}/flat/rounds/0001/request",
            *(words.replace("FLAT", f"{room}/flat") for words in COMMANDS),
        )
        words = commands[number % len(commands)].replace("OUT", str(room / "out"))
        self.note = words

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with patch.object(threading.Thread, "start", start):
            return outcome(words.split())


def foreign(base: Path, draw: random.Random) -> str:
    """Put a foreign value into a random column of a random table."""
    table = draw.choice(TABLES)
    with suppress(LedgerError, OverflowError), changing(base) as connection:
        column = draw.choice(columns(connection, table))
        value = draw.choice(ROWS)
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = 1")
        connection.exec_driver_sql(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
    return f"{table}.{column} = {value!r:.30}"


@dataclass
class Checkpoints(Attack):
    """Mutated checkpoints and tables of scores; what is read must have the sound file's content."""

    @cached_property
    def sound(self) -> list[tuple[Path, str]]:
        flat = self.stages.folder / "stages/scored/flat"
        return [
            (next(flat.rglob("last.ckpt")), "mutated checkpoints"),
            (next(flat.rglob("scores.parquet")), "mutated score tables"),
        ]

    def named(self, number: int) -> str:
        return self.sound[number % 2][1]

    def __call__(self, number: int) -> str:
        (source, _), draw = self.sound[number % 2], self.draw(number)
        way = draw.choice(list(MUTATIONS))
        data = MUTATIONS[way](source.read_bytes(), draw)
        self.room.mkdir(parents=True, exist_ok=True)
        path = self.room / f"x{source.suffix}"
        path.write_bytes(data)
        self.note = f"{source.name} {way}"
        read = self.read(number)
        found, expected = read(path), read(source)
        if found != expected and not number % 2:
            return "refused"  # commands compare the digest with the one that `fit` noted
        return "right" if found == expected else "wrong"

    def read(self, number: int) -> Any:
        return scores if number % 2 else lambda path: load(path).digest


def scores(path: Path) -> Any:
    table = read_table(path)
    return [
        list(table.images),
        {name: np.asarray(values).tobytes() for name, values in table.statistics.items()},
    ]


def clean(folder: Path) -> None:
    shutil.rmtree(folder / "rooms", ignore_errors=True)


def attacks(folder: Path, seed: int) -> Iterator[Attack]:
    kinds = (Recipes, SettingsFiles, Ledgers, Schemas, Threads, Checkpoints)
    yield from (kind(folder, seed) for kind in kinds)
