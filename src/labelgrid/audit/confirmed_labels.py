"""Notes labels that somebody looked at and found right. Loads no torch."""

from collections.abc import Sequence

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, State
from labelgrid.operations.cancel import find_rows
from labelgrid.project.folder import ProjectFolder

#: The ledger's key of the confirmed labels: the paths of their files, which hold their hashes.
CONFIRMED = "confirmed"


def confirm(project: ProjectFolder, cells: Sequence[str]) -> list[Cell]:
    """Note that the labels of cells, as `IMAGE:TASK`, are right, all or none.

    A label that replaces one of them later is not noted.

    Raises:
        LedgerError: a name is unknown, or its cell has no label; the error lists them. Nothing was
            noted.
    """
    store = project.store
    with store.transaction("confirm"):
        rows = find_rows(project, cells, State.LABELLED, "confirmed")
        noted = sorted(confirmed_paths(project) | {row.path for row in rows})
        store.put(CONFIRMED, noted)
    return [row.cell for row in rows]


def confirmed_paths(project: ProjectFolder) -> set[str]:
    """The paths of the files of confirmed labels, below the project's folder.

    Raises:
        LedgerError: the ledger's note is damaged.
    """
    note = project.store.get(CONFIRMED, [])
    if isinstance(note, list) and all(isinstance(path, str) for path in note):
        return set(note)
    raise LedgerError(
        f"The ledger's note '{CONFIRMED}' is no list of names: {note!r:.80}.",
        where=str(project.folder),
        next_step="Restore the project from a backup.",
    )
