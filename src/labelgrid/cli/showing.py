"""Commands that show: the report, and what can be named."""

from pathlib import Path
from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.cli.grid import AsJson, Folder
from labelgrid.errors import leaving


@leaving("Nothing was written.")
def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="The HTML file; else DIR/report.html.")] = None,
) -> None:
    """Write what the project has reached as one self-contained HTML file.

    Example: [bold]labelgrid report flat --out flat.html[/]
    """
    from labelgrid.campaign.project import Project
    from labelgrid.campaign.reporting import report as write

    with Project.open(folder) as project:
        path = write(project, out or folder / "report.html")
    screen.say(f"Wrote {path}")


def list_(
    folder: Annotated[str, typer.Argument(metavar="[FOLDER]", help="tasks, data, nets, select, recipes, ...")] = "",
    json: AsJson = False,
) -> None:
    """List plug-ins and recipes, a line each.

    Example: [bold]labelgrid list select[/]
    """
    from labelgrid import plugins
    from labelgrid.errors import UsageError

    known = {**{name: plugins.describe(name) for name in plugins.FOLDERS}, "recipes": plugins.recipes()}
    if folder and folder not in known:
        raise UsageError(f"There is no folder '{folder}'.", next_step=f"There are: {', '.join(known)}.")
    shown = {folder: known[folder]} if folder else known
    if json:
        screen.as_json(shown)
        return
    for name, entries in shown.items():
        screen.table(name, ["name", "what it is"], list(entries.items()))


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(report)
    app.command("list")(list_)
