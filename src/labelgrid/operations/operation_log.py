"""Lists the newest operations of a project, for people and programs. Loads no torch."""

from labelgrid.basics.errors import UsageError
from labelgrid.basics.type_names import Json
from labelgrid.ledger.store import OperationSummary
from labelgrid.project.folder import ProjectFolder


def operation_rows(project: ProjectFolder, last: int) -> list[Json]:
    """The newest operations, at most `last`, the last one first; see `Project.log`.

    Raises:
        UsageError: `last` is below 1.
    """
    if last < 1:
        raise UsageError(f"--last must be at least 1. Found {last}.")
    return [_row(summary) for summary in project.store.operations(last)]


def _row(summary: OperationSummary) -> Json:
    moves = []
    for (before, after), cells in sorted(summary.moves.items()):
        moves.append({"before": before.name.lower(), "after": after.name.lower(), "cells": cells})
    return {
        "operation": summary.operation.id,
        "at": summary.operation.at,
        "command": summary.operation.command,
        "moves": moves,
        "rounds": list(summary.rounds),
        "undone": summary.undone,
    }
