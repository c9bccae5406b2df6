"""Undoes the last operation of a project, as a new one: nothing is deleted. Loads no torch."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from labelgrid.basics.errors import ProjectError, StateError, command, note_unchanged
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import State
from labelgrid.ledger.store import Kept, Operation, OperationSummary
from labelgrid.operations.remove import refuse_other_split
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit, remove_picks
from labelgrid.project.stored_labels import refuse_misfits

#: The commands whose operations can be undone.
UNDOABLE = ("query", "import", "request", "skip", "cancel", "requeue", "unlabel")
#: What to do about the operations of other commands.
INSTEAD = {
    "init": "Remove the folder to begin anew.",
    "add": "`labelgrid remove` takes images out, `labelgrid task --drop` a task.",
    "remove": "`labelgrid remove --restore` brings images back, `labelgrid remove` takes them out.",
    "task": "`labelgrid task --restore` brings a task back, `labelgrid task --drop` drops it.",
    "rename splits": "It gave images of unknown splits a known one.",
    "split": "`labelgrid import --split` moves images without labels into another split.",
    "hold out": "Held-out images stay held out: some of their labels may be known.",
}
UNCHANGED = "Nothing was undone."
#: The most events of an operation whose cells are counted to name it.
MOST_COUNTED = 10_000


@dataclass(frozen=True, kw_only=True, repr=False)
class Undone(Shown):
    """The result of an undo.

    Args:
        operation: the one that was undone.
        cells: the number of its cells by their state now.
        round: the round whose query was undone, which the next query is again; 0: none.
        trained: whether there is a model, which may have learned labels that changed.
        dry_run: whether nothing was changed.
    """

    operation: Operation
    cells: Mapping[State, int]
    round: int
    trained: bool
    dry_run: bool

    def as_json(self) -> Json:
        """The fields as JSON values, with the cells by the names of their states."""
        return {
            "operation": vars(self.operation),
            "cells": {state.name.lower(): self.cells.get(state, 0) for state in State},
            "round": self.round,
            "trained": self.trained,
            "dry_run": self.dry_run,
        }

    def __str__(self) -> str:
        done = self.operation
        would = "Would undo" if self.dry_run else "Undid"
        states = [f"{count:,} {state.name.lower()}" for state, count in sorted(self.cells.items())]
        cells = count_text(sum(self.cells.values()), "cell is", "cells are")
        lines = [f"{would} {done.command} (operation {done.id}, {done.at})."]
        if states:
            lines.append(f"{cells} as before: {join_names(states)}.")
        if self.round:
            lines.append(f"The next query is round {self.round} again.")
        if self.trained:
            lines.append("Models keep what they learned: `labelgrid fit` trains again.")
        return " ".join(lines)


@dataclass(frozen=True)
class NamedOperation:
    """An operation that can be undone, with a short description."""

    operation: Operation
    text: str


def last_undoable(project: ProjectFolder) -> NamedOperation | None:
    """The operation that `undo` would undo, found fast; None if there is none that it undoes."""
    newest = project.store.last_operation_name()
    if newest is None or project.settings.oracle:
        return None
    operation, events = newest
    if operation.command not in UNDOABLE:
        return None
    last = project.store.last_operation() if events <= MOST_COUNTED else None
    if last is None or last.operation != operation:
        return NamedOperation(operation, f"{operation.command} ({operation.at})")
    words = []
    for (before, after), count in sorted(last.moves.items()):
        cells = count_text(count, "cell")
        words.append(f"{cells} from {before.name.lower()} to {after.name.lower()}")
    return NamedOperation(operation, f"{operation.command} ({join_names(words)})")


@note_unchanged(UNCHANGED)
def foresee_undo(project: ProjectFolder) -> Undone:
    """Foresee the result of `undo`, without the slow check whether the ledger allows it.

    Raises:
        ProjectError: there is nothing to undo, or the operation cannot be undone.
    """
    last = _last(project)
    kept = project.store.kept(last.operation.id)
    _check_kind(project, last, kept)
    return _undone(project, last, kept, dry_run=True)


@note_unchanged(UNCHANGED)
def undo(
    project: ProjectFolder,
    progress: Progress,
    *,
    dry_run: bool = False,
    operation: int | None = None,
) -> Undone:
    """Undo the last operation in effect, in a transaction.

    The files of labels stay where they are. The picks and previews of a query are removed after
    that: what a kill leaves of them is removed by the next undo, or replaced by the next query.

    Args:
        project: the project.
        progress: counts the restored labels as they are read.
        dry_run: change nothing; say what would be undone, or why it would be refused.
        operation: the number of the operation that must be the last one; None: whichever is.

    Raises:
        ProjectError: there is nothing to undo, or the operation cannot be undone.
        StateError: another operation is the last one.
        LedgerError: the ledger has changed so that it cannot be undone any more.
        LabelError: restored labels do not fit their tasks' current declaration.
    """
    if not dry_run:
        _remove_undone_picks(project)  # of an undo that was killed
    store = project.store
    last = _last(project, operation)
    kept = store.kept(last.operation.id)
    _check_kind(project, last, kept)
    try:
        with store.transaction(last.operation.undo_command):
            store.undo(last.operation)
            _check_restored(project, last, kept, progress)
            if dry_run:
                raise _DryRunError
    except _DryRunError:
        pass
    else:
        _remove_undone_picks(project)
    return _undone(project, last, kept, dry_run=dry_run)


def _last(project: ProjectFolder, operation: int | None = None) -> OperationSummary:
    last = project.store.last_operation()
    if operation is not None and (last is None or last.operation.id != operation):
        now = "nothing is left to undo"
        if last:
            now = f"the last one is {last.operation.id}: {last.operation.command or 'unnamed'}"
        raise StateError(
            f"Operation {operation} is not the last one any more: {now}.",
            where=project.folder,
            next_step="Look again at what would be undone.",
        )
    if last is None:
        raise ProjectError("There is nothing to undo.", where=project.folder)
    return last


def _undone(project: ProjectFolder, last: OperationSummary, kept: Kept, *, dry_run: bool) -> Undone:
    cells = Counter[State]()
    for (before, _), count in last.moves.items():
        cells[before] += count
    moves_labels = any(State.LABELLED in states for states in last.moves)
    return Undone(
        operation=last.operation,
        cells=cells,
        round=kept.round,
        trained=moves_labels and newest_fit(project.folder) is not None,
        dry_run=dry_run,
    )


def _remove_undone_picks(project: ProjectFolder) -> None:
    """Remove picks and previews of an undone query: files of the round that is next.

    A query that runs meanwhile replaces them.
    """
    with suppress(ProjectError), project.lock():
        remove_picks(project.round_folder(project.round_number))


class _DryRunError(Exception):
    """Takes back the transaction of a dry run."""


def _check_kind(project: ProjectFolder, last: OperationSummary, kept: Kept) -> None:
    if project.settings.oracle:
        raise ProjectError(
            "This project is a run of a simulation, which is not undone.", where=project.folder
        )
    done = last.operation
    subject = f"The last operation is '{done.command or 'unnamed'}' ({done.at})"
    if done.command not in UNDOABLE:
        raise ProjectError(
            f"{subject}, which cannot be undone.",
            where=project.folder,
            next_step=INSTEAD.get(done.command, "It was made by other code than labelgrid's."),
        )
    if done.command == "query" and not kept.round:
        cancel = command("cancel", project.folder, "--round", max(last.rounds, default=0))
        raise ProjectError(
            f"{subject}, made by an older labelgrid, which kept too little to undo it.",
            where=project.folder,
            next_step=f"`{cancel}` cancels its requests.",
        )


def _check_restored(
    project: ProjectFolder, last: OperationSummary, kept: Kept, progress: Progress
) -> None:
    """Refuse to restore splits or labels that the project must not hold any more.

    Raises:
        LedgerError: images would be in another split than others of their groups.
        LabelError: labels do not fit what their tasks declare today.
    """
    store = project.store
    if kept.splits:
        rows = list(store.images())
        refuse_other_split(rows, [row for row in rows if row.image_id in kept.splits])
    if any(before == State.LABELLED for before, _ in last.moves):
        cells = [event.move.cell for event in store.events(operation=last.operation.id)]
        rows_now = store.find(dict.fromkeys(cells)).values()
        refuse_misfits(project, [row for row in rows_now if row.state == State.LABELLED], progress)
