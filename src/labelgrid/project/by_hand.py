"""Requests and skips the cells that a user names, beside what queries pick. Loads no torch."""

from collections.abc import Sequence

from labelgrid.errors import UsageError
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.cancel import find_rows
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import request_outside_rounds

#: The reason of a request by hand.
CHOSEN = "chosen by hand"
#: The longest reason of a skip.
MOST_CHARACTERS = 500


def request(project: ProjectFolder, cells: Sequence[str]) -> list[Cell]:
    """Request missing cells, all or none, outside the rounds.

    Args:
        project: the project.
        cells: missing cells as `IMAGE:TASK`.

    Raises:
        LedgerError: a name is unknown, or its cell is not missing; the error lists them. Nothing
            was requested.
    """
    store = project.store
    with store.transaction("request"):
        rows = find_rows(project, cells, State.MISSING, "requested")
        request_outside_rounds(store, [row.cell for row in rows], CHOSEN)
    return [row.cell for row in rows]


def skip(project: ProjectFolder, cells: Sequence[str], why: str = "") -> list[Cell]:
    """Skip requested cells, all or none: nobody can label them. They are not requested again.

    Args:
        project: the project.
        cells: requested cells as `IMAGE:TASK`, or request ids.
        why: the reason, one line.

    Raises:
        LedgerError: a name is unknown, or its cell is not requested; the error lists them. Nothing
            was skipped.
        UsageError: the reason is longer than a line.
    """
    if len(why) > MOST_CHARACTERS or not why.isprintable():
        raise UsageError(
            f"The reason of a skip is one line of at most {MOST_CHARACTERS} characters.",
            unchanged="Nothing was skipped.",
        )
    store = project.store
    with store.transaction("skip"):
        rows = find_rows(project, cells, State.REQUESTED, "skipped")
        store.move([Move(cell=row.cell, to=State.SKIPPED, why=why) for row in rows])
    return [row.cell for row in rows]
