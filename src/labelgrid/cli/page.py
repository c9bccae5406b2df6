"""Defines the command that shows a project in a browser."""

from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.cli.grid import Folder
from labelgrid.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    folder: Folder,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; 0.0.0.0: of all networks, with a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0: any free one.", min=0, max=65535)
    ] = 8000,
    token: Annotated[
        str, typer.Option(help="What a browser must show; a new one by default, if needed.")
    ] = "",
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
    server.serve(folder, host=host, port=port, token=token, say=screen.say)
