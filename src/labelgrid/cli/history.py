"""Commands that look into the ledger: its cells, its operations, and the last one taken back.

Loads no torch.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import typer

from labelgrid.cli import screen
from labelgrid.cli.grid import AsJson, Folder
from labelgrid.cli.opening import open_project
from labelgrid.errors import UsageError, command
from labelgrid.words import count_text

#: The most cells that a terminal shows.
SHOWN = 1000
#: The columns that a terminal shows; a file has all.
SHOWN_COLUMNS = ("image", "task", "split", "state", "round", "cost")


class CellState(StrEnum):
    """The states that cells are listed by."""

    missing = "missing"
    requested = "requested"
    labelled = "labelled"
    skipped = "skipped"


class AnySplit(StrEnum):
    """The splits that cells are listed by."""

    train = "train"
    val = "val"
    test = "test"
    heldout = "heldout"


def cells(
    folder: Folder,
    state: Annotated[CellState | None, typer.Option(help="Only the cells in this state.")] = None,
    task: Annotated[str | None, typer.Option(help="Only the cells of this task.")] = None,
    split: Annotated[
        AnySplit | None, typer.Option(help="Only the cells of this split's images.")
    ] = None,
    round: Annotated[
        int | None, typer.Option(help="Only the cells that this round asked for; 0: no round.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write all of them to this CSV file.", dir_okay=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """List cells with their states, ordered by image, then task.

    Example: [bold]labelgrid cells flat --state requested[/]
    """
    from labelgrid.project.cell_table import write_csv

    with open_project(folder) as project:
        rows = project.each_cell(
            state=state.value if state else None,
            task=task,
            split=split.value if split else None,
            round=round,
        )
        if csv and json:
            raise UsageError("--csv and --json exclude each other.", next_step="Give one of them.")
        if csv:
            write_csv(csv, rows)
            screen.say(f"Wrote {csv}")
        elif json:
            screen.print_json_list(rows)
        else:
            _show_cells(folder, rows)


def _show_cells(folder: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Print the first cells as a table, and how many more there are."""
    row_of = itemgetter(*SHOWN_COLUMNS)
    shown = [row_of(row) for row in islice(rows, SHOWN)]
    if not shown:
        screen.say(f"There is no such cell. `{command('status', folder)}` counts all by state.")
        return
    screen.print_table("", SHOWN_COLUMNS, shown)
    more = sum(1 for _ in rows)
    if more:
        screen.say(f"And {count_text(more, 'cell')} more: `--csv cells.csv` writes all.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (cells,):
        app.command()(each)
