"""Stores the rounds of a campaign and small notes in the ledger."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import join_names
from labelgrid.ledger.grid import Unit
from labelgrid.ledger.row_values import (
    UNCHANGED,
    check_values,
    foreign_row_error,
    foreign_value_errors,
)
from labelgrid.ledger.schema import NOTES, ROUNDS


@dataclass(frozen=True, kw_only=True)
class RoundRow:
    """A round in the ledger.

    Args:
        number: the number of the round, from 1; 0 means outside the rounds.
        state: the state of the round; at most one round is open.
        strategy: the one that chose the picks.
        seed: the seed of the choice.
        budget: the limit of the picks, in `unit`.
        unit: labels, images or cost.
        recipe: the hash of the recipe that was trained.
        model: the hash of the weights that scored the pool.
        pool: `Store.pool_hash` when the pool was scored.
        note: free text.
    """

    number: int
    state: Literal["open", "closed"] = "open"
    strategy: str = ""
    seed: int = 0
    budget: float = 0.0
    unit: Unit = "labels"
    recipe: str = ""
    model: str = ""
    pool: str = ""
    note: str = ""


def rounds(connection: Connection) -> tuple[RoundRow, ...]:
    """The rounds by number, from 1 on without gaps."""
    rows = connection.execute(select(ROUNDS).order_by(ROUNDS.c.number))
    all_rounds = tuple(round_of(dict(row._mapping)) for row in rows)
    numbers = [row.number for row in all_rounds]
    if numbers != list(range(1, len(numbers) + 1)):
        raise foreign_row_error(f"its rounds have the numbers {join_names(numbers, 5)}")
    return all_rounds


def current_round(connection: Connection) -> RoundRow | None:
    """The round in state "open", if any."""
    return next((row for row in rounds(connection) if row.state == "open"), None)


#: The types of a round's columns.
TYPES = (int, str, str, int, float, str, str, str, str, str)


@foreign_value_errors()
def round_of(values: Values) -> RoundRow:
    """The round from its columns.

    Raises:
        LedgerError: a value has another type.
    """
    row = RoundRow(**values)
    check_values(tuple(vars(row).values()), TYPES, "a round")
    return row


def open_round(connection: Connection) -> RoundRow:
    """Open the next round; the first is number 1.

    Raises:
        LedgerError: a round is open.
    """
    current = current_round(connection)
    if current:
        raise LedgerError(
            f"Round {current.number} is still open.",
            next_step="Close it first.",
            unchanged=UNCHANGED,
        )
    row = RoundRow(number=len(rounds(connection)) + 1)
    connection.execute(insert(ROUNDS), asdict(row))
    return row


def update_round(connection: Connection, row: RoundRow) -> None:
    """Replace the row of the open round.

    Raises:
        LedgerError: the round is not open.
    """
    current = current_round(connection)
    if current is None or current.number != row.number:
        open_now = f"round {current.number}" if current else "no round"
        raise LedgerError(
            f"Round {row.number} is not open: {open_now} is.",
            next_step="`labelgrid status` shows the rounds.",
            unchanged=UNCHANGED,
        )
    connection.execute(update(ROUNDS).where(ROUNDS.c.number == row.number), asdict(row))


def restore_round(connection: Connection, number: int, before: RoundRow | None) -> None:
    """Make the newest round as before its closing; without a row, remove the round.

    Raises:
        LedgerError: it is not the newest one, or not closed.
    """
    all_rounds = rounds(connection)
    newest = all_rounds[-1] if all_rounds else None
    if newest is None or (newest.number, newest.state) != (number, "closed"):
        raise LedgerError(
            f"Round {number + 1} was begun since round {number} was closed, by a training or by "
            "predictions.",
            next_step=f"`labelgrid cancel DIR --round {number}` cancels the requests of round "
            f"{number}.",
            unchanged=UNCHANGED,
        )
    connection.execute(delete(ROUNDS).where(ROUNDS.c.number == number))
    if before:
        connection.execute(insert(ROUNDS), asdict(before))


def get(connection: Connection, key: str, default: Any = None) -> Any:
    """The note under a key, or `default`."""
    row = connection.execute(select(NOTES.c.value).where(NOTES.c.key == key)).one_or_none()
    return default if row is None else row.value


def put(connection: Connection, key: str, value: Any) -> None:
    """Store any JSON value as a note under a key, in place of an older value."""
    connection.execute(delete(NOTES).where(NOTES.c.key == key))
    connection.execute(insert(NOTES), {"key": key, "value": value})
