"""Numbers the operations: the transactions that move cells, each with its command and time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from labelgrid.ledger.database import check_values, pending_operation
from labelgrid.ledger.schema import OPERATIONS


@dataclass(frozen=True)
class Operation:
    """A transaction that moved cells.

    Args:
        id: from 1; a later operation has a greater one.
        command: what moved the cells, such as "import"; empty if the caller did not name it.
        at: its time (UTC, ISO 8601).
    """

    id: int
    command: str
    at: str


def current_id(connection: Connection) -> int:
    """The id of the transaction's operation, whose row is written with the first move."""
    operation = pending_operation(connection)
    if operation.id is None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        row = insert(OPERATIONS).values(command=operation.command, at=at)
        (operation.id,) = connection.execute(row).inserted_primary_key or (None,)
    assert operation.id is not None
    return operation.id


def operation_of(number: Any, command: Any, at: Any) -> Operation:
    """The operation from its columns.

    Raises:
        LedgerError: a value has another type.
    """
    check_values((number, command, at), (int, str, str), "an operation")
    return Operation(number, command, at)
