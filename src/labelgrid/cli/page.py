"""Defines the command that shows a project in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from labelgrid.basics.errors import UsageError
from labelgrid.cli import screen
from labelgrid.cli.grid import Folder


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    folder: Folder,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; 0.0.0.0: of all networks."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0: any free one.", min=0, max=65535)
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file that only you can read, with the token that a browser or program must "
            "show; a new one is written if it is not there. Else LABELGRID_TOKEN, else a new token."
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Let every user and program of this machine see the project, change it, and start "
            "jobs as you.",
        ),
    ] = False,
) -> None:
    """Show a project or a study in a browser, until Ctrl-C.

    Example: [bold]labelgrid serve flat[/]
    """
    try:
        from labelgrid.web import server
    except ImportError as error:
        raise UsageError(
            f"The page needs packages that are not installed: {error.name} is missing.",
            next_step="Install them: pip install 'labelgrid[serve]'.",
        ) from error
    server.serve(
        folder, host=host, port=port, token_file=token_file, no_token=no_token, say=screen.say
    )
