"""Keeps the class lists that labels were made with, each list once."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from labelgrid.ledger.database import foreign_row_error, next_id
from labelgrid.ledger.schema import CLASS_LISTS


def all_lists(connection: Connection) -> dict[int, tuple[str, ...]]:
    """The class lists by id.

    Raises:
        LedgerError: one is no list of names.
    """
    lists = {}
    for number, text in connection.execute(select(CLASS_LISTS)):
        try:
            names = json.loads(text)
        except (RecursionError, TypeError, ValueError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise foreign_row_error(f"it has the class list {text!r:.40}")
        lists[number] = tuple(names)
    return lists


def in_order(connection: Connection) -> tuple[tuple[str, ...], ...]:
    """The class lists that labels were made with, the oldest first."""
    lists = all_lists(connection)
    return tuple(lists[number] for number in sorted(lists))


def find(lists: Mapping[int, tuple[str, ...]], number: Any, owner: str) -> tuple[str, ...]:
    """The class list with an id; an empty one for None.

    Raises:
        LedgerError: there is none; `owner` names the row that refers to it.
    """
    if number is None:
        return ()
    if number not in lists:
        raise foreign_row_error(f"{owner} has the class list {number!r:.40}")
    return lists[number]


def add(connection: Connection, wanted: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """Add the class lists that are new, and return the ids of all; an empty list has none."""
    ids = {names: number for number, names in all_lists(connection).items()}
    for names in sorted(set(wanted) - ids.keys() - {()}):
        number = next_id(connection, CLASS_LISTS)
        row = {"id": number, "names": json.dumps(names, ensure_ascii=False)}
        connection.execute(insert(CLASS_LISTS), row)
        ids[names] = number
    return ids
