"""Commands that look into the ledger's cells and operations, and undo the last operation.

Loads no torch.
"""

from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path

from labelgrid.api.requests import CellsRequest, UndoRequest
from labelgrid.basics.errors import UsageError, command, note_unchanged
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options

#: The most cells that a terminal shows.
SHOWN = 1000
#: The columns that a terminal shows; a file has all.
SHOWN_COLUMNS = ("image", "task", "split", "state", "round", "cost")

#: What a terminal shows of an event, and the titles.
EVENT_COLUMNS = {
    "at": "at (UTC)",
    "command": "command",
    "before": "before",
    "after": "after",
    "round": "round",
    "cost": "cost",
    "annotator": "annotator",
    "why": "why",
}


@with_options(csv="--csv FILE: write all of them to this CSV file")
def cells(
    folder: Path,
    request: CellsRequest,
    csv: Path | None = None,
    json: bool = False,
) -> None:
    """List cells with their states, ordered by image, then task.

    Example: [bold]labelgrid cells flat --state requested --order changed[/]
    """
    from labelgrid.project.cells.cell_table import write_csv

    with open_project(folder, looking=True) as project:
        rows = project.each_cell(**request)
        if csv and json:
            raise UsageError("--csv and --json exclude each other.", next_step="Give one of them.")
        if csv:
            write_csv(csv, rows)
            screen.say(f"Wrote {csv}")
        elif json:
            screen.print_json_list(rows)
        else:
            _show_cells(folder, rows)


def _show_cells(folder: Path, rows: Iterator[Json]) -> None:
    row_of = itemgetter(*SHOWN_COLUMNS)
    shown = [row_of(row) for row in islice(rows, SHOWN)]
    if not shown:
        screen.say(f"There is no such cell. `{command('status', folder)}` counts all by state.")
        return
    screen.print_table("", SHOWN_COLUMNS, shown)
    more = sum(1 for _ in rows)
    if more:
        screen.say(f"And {count_text(more, 'cell')} more: `--csv cells.csv` writes all.")


@with_options(
    cell="[IMAGE:TASK]: show all that happened to this cell", last="--last: the most operations"
)
def log(
    folder: Path,
    cell: str = "",
    last: int = 20,
    json: bool = False,
) -> None:
    """Show the newest operations of a project, or all that happened to a cell.

    Example: [bold]labelgrid log flat kitchen/0004.jpg:depth[/]
    """
    with open_project(folder, looking=True) as project:
        rows = project.log(cell, last=last)
    if json:
        screen.print_json(rows)
    elif not rows:
        screen.say("Nothing has happened yet.")
    elif cell:
        events = []
        for row in rows:
            event = [row[name] for name in EVENT_COLUMNS]
            events.append(["" if value is None else value for value in event])
        screen.print_table("", list(EVENT_COLUMNS.values()), events)
    else:
        columns = ["operation", "at (UTC)", "command", "cells", "rounds"]
        operations = []
        for row in rows:
            moves = [f"{one['cells']:,} {one['before']} → {one['after']}" for one in row["moves"]]
            typed = row["command"] + (" (undone)" if row["undone"] else "")
            rounds = ", ".join(map(str, row["rounds"]))
            operations.append([row["operation"], row["at"], typed, ", ".join(moves), rounds])
        screen.print_table("", columns, operations)


@note_unchanged("Nothing was undone.")
@with_options()
def undo(
    folder: Path,
    request: UndoRequest,
    json: bool = False,
) -> None:
    """Undo the last import, query, unlabel, cancel, request or skip, as a new operation.

    Example: [bold]labelgrid undo flat --dry-run[/]
    """
    with open_project(folder) as project:
        undone = project.undo(**request)
    screen.print_result(undone, json)


#: The commands of this module.
COMMANDS = (cells, log, undo)
