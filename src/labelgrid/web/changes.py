"""Changes cells as the page's buttons ask: the work of the commands, if nobody was faster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from labelgrid.api.project import Project
from labelgrid.errors import StateError, UsageError
from labelgrid.ledger.grid import Cell

#: What a button does: withdraws labels, cancels requests, or asks for skipped cells again.
Action = Literal["unlabel", "cancel", "requeue"]
#: The most cells of one request.
MOST = 10_000


class ConflictError(StateError):
    """A cell was changed since the page that the user sees was made."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What to change.

    Args:
        cells: each as `IMAGE:TASK`.
        seen: by cell, the number of the last event that the user saw; cells without are not
            compared.
    """

    cells: list[str]
    seen: Mapping[str, int]


def apply(project: Project, action: Action, change: Change) -> list[Cell]:
    """Change cells, all or none, and return those that changed.

    Raises:
        ConflictError: somebody else changed one since. Nothing was changed.
        LabelgridError: a cell is unknown or in another state. Nothing was changed.
    """
    if not 0 < len(change.cells) <= MOST:
        raise UsageError(
            f"A request changes 1 to {MOST:,} cells. Found {len(change.cells):,}.",
            unchanged="Nothing was changed.",
        )
    with project.transaction(action):
        for cell in change.seen.keys() & set(change.cells):
            _check_unchanged(project, cell, change.seen[cell])
        if action == "unlabel":
            return list(project.unlabel(change.cells).cells)
        return list(project.cancel(change.cells, requeue=action == "requeue").cells)


def _check_unchanged(project: Project, cell: str, seen: int) -> None:
    """Refuse to change a cell with a newer event."""
    newer = [event for event in project.history(cell) if event["event"] > seen]
    if newer:
        last = newer[-1]
        raise ConflictError(
            f"'{cell}' was changed since you opened this page: it became {last['after']} "
            f"({last['command'] or 'unknown command'}, {last['at']}).",
            next_step="Load the page again and look at it.",
            unchanged="Nothing was changed.",
        )
