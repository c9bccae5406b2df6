"""Keeps notes that people write on cells, beside the events of labels. Loads no torch."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from labelgrid.basics.config import parse
from labelgrid.basics.errors import UsageError
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder

#: The longest note.
MOST_CHARACTERS = 1000
#: The most notes on one cell.
MOST = 100


@dataclass(frozen=True)
class CellNote:
    """A note on a cell.

    Args:
        text: what somebody wrote.
        at: when (UTC, ISO 8601).
    """

    text: str
    at: str


def read_notes(project: ProjectFolder, cell: Cell) -> list[CellNote]:
    """The notes on a cell, the first one first."""
    rows = project.store.get(_key(cell), [])
    return [parse(CellNote, row, f"the notes on {cell.image_id}:{cell.task}") for row in rows]


def add_note(project: ProjectFolder, cell: Cell, text: str) -> None:
    """Add a note to a cell.

    Raises:
        UsageError: it is empty or too long, has characters that cannot be shown, or the cell has
            too many.
    """
    text = " ".join(text.split())
    if not 0 < len(text) <= MOST_CHARACTERS or not text.isprintable():
        raise UsageError(
            f"A note has 1 to {MOST_CHARACTERS:,} characters that can be shown.",
            unchanged="Nothing was noted.",
        )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    store = project.store
    with store.transaction("note"):
        rows = store.get(_key(cell), [])
        if len(rows) >= MOST:
            raise UsageError(
                f"The cell has {MOST} notes, and takes no more.", unchanged="Nothing was noted."
            )
        store.put(_key(cell), [*rows, asdict(CellNote(text, at))])


def _key(cell: Cell) -> str:
    return f"cell {cell.image_id}:{cell.task}"
