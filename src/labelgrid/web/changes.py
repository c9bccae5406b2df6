"""Changes cells as the page's buttons ask: the work of the commands, if nobody was faster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import StateError, UsageError
from labelgrid.basics.words import moment
from labelgrid.ledger.grid import StateName

#: What a button does to cells.
Action = Literal["unlabel", "cancel", "requeue", "request", "skip", "confirm"]
#: The most cells of one request.
MOST = 10_000


class ConflictError(StateError):
    """A cell was changed since the page that the user sees was made."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What to change.

    Args:
        cells: each as `IMAGE:TASK`.
        seen: the number of the last event that the user saw, by cell; cells without a number are
            not compared.
        why: the reason of a skip.
    """

    cells: Sequence[str]
    seen: Mapping[str, int]
    why: str = ""


@dataclass(frozen=True)
class Deed:
    """An action: the state of the changed cells, and the function behind the change."""

    state: StateName
    apply: Callable[[ProjectReader, Change], object]


DEEDS: dict[Action, Deed] = {
    "unlabel": Deed("labelled", lambda project, change: project.unlabel(change.cells)),
    "cancel": Deed("requested", lambda project, change: project.cancel(change.cells)),
    "requeue": Deed("skipped", lambda project, change: project.cancel(change.cells, requeue=True)),
    "request": Deed("missing", lambda project, change: project.request(change.cells)),
    "skip": Deed("requested", lambda project, change: project.skip(change.cells, why=change.why)),
    "confirm": Deed("labelled", lambda project, change: project.confirm(change.cells)),
}


def apply(project: ProjectReader, action: Action, change: Change) -> Sequence[str]:
    """Change cells, all or none, and return them.

    Raises:
        ConflictError: somebody else changed one since. Nothing was changed.
        LabelgridError: a cell is unknown or in another state. Nothing was changed.
    """
    if not 0 < len(change.cells) <= MOST:
        raise UsageError(
            f"A request changes 1 to {MOST:,} cells. Found {len(change.cells):,}.",
            unchanged="Nothing was changed.",
        )
    with project.disk.store.transaction(action):
        for cell in change.seen.keys() & set(change.cells):
            check_unchanged(project, cell, change.seen[cell])
        DEEDS[action].apply(project, change)
    return list(dict.fromkeys(change.cells))


def cells_of_images(
    project: ProjectReader, action: Action, images: Sequence[str], task: str = ""
) -> list[str]:
    """The cells of some images that an action changes, as `IMAGE:TASK`.

    Args:
        project: the project.
        action: what is to be done.
        images: their ids.
        task: the task of the cells; empty: all tasks.

    Raises:
        LedgerError: there is no such image.
    """
    cells = []
    for image_id in images:
        states = project.disk.store.listed_image(image_id).states
        for name, state in states.items():
            if task in ("", name) and state.name.lower() == DEEDS[action].state:
                cells.append(f"{image_id}:{name}")
    return cells


def check_unchanged(project: ProjectReader, cell: str, seen: int) -> None:
    """Refuse to change a cell with a newer event."""
    newer = [event for event in project.cell(cell).history() if event["event"] > seen]
    if newer:
        last = newer[-1]
        raise ConflictError(
            f"'{cell}' was changed since you opened this page: it became {last['after']} "
            f"({last['command'] or 'unknown command'}, {moment(last['at'])}).",
            next_step="Load the page again and look at it.",
            unchanged="Nothing was changed.",
        )
