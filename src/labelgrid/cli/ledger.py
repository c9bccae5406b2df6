"""Commands on where a project's ledger is. Loads no torch."""

from pathlib import Path

import typer

from labelgrid.basics.errors import note_unchanged
from labelgrid.cli import screen
from labelgrid.cli.options import with_options

ledger = typer.Typer(help="Say where a project's ledger is: copy it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ledger.command()(copy)
    app.add_typer(ledger, name="ledger")


@note_unchanged("The project uses the ledger that it used.")
@with_options(
    to="URL|labelgrid.db: its address, such as postgresql+psycopg://USER@HOST/DATABASE, or "
    "labelgrid.db: back to the file"
)
def copy(
    folder: Path,
    to: str,
    json: bool = False,
) -> None:
    """Copy the ledger to PostgreSQL or back, compare both, and use the copy from then on.

    Example: [bold]labelgrid ledger copy flat postgresql+psycopg://ann@db.lab/labels[/]
    """
    from labelgrid.operations.ledger_copy import copy_ledger

    with screen.Bar() as bar:
        copied = copy_ledger(folder, to, bar)
    screen.print_result(copied, json)
