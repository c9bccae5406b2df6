"""Defines the commands of the page: shows a project, learns while labels are made there."""

from pathlib import Path

from labelgrid.api.door import Count
from labelgrid.api.requests import LiveRequest
from labelgrid.basics.errors import UsageError
from labelgrid.cli import screen
from labelgrid.cli.options import with_options

#: The largest number of a port.
LAST_PORT = 65_535


@with_options(
    host="--host: the address to listen on; 0.0.0.0: of all networks",
    port="--port: the port to listen on; 0: any free one",
    token_file="--token-file: a file that only you can read, with the token that a browser or "
    "program must show; a new one is written if it is not there; else LABELGRID_TOKEN, else a new "
    "token",
    no_token="--no-token: let every user and program of this machine see the project, change it, "
    "and start jobs as you",
)
def serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: Count = 8000,
    token_file: Path | None = None,
    no_token: bool = False,
) -> None:
    """Show a project or a study in a browser, until Ctrl-C.

    Example: [bold]labelgrid serve flat[/]
    """
    if port > LAST_PORT:
        raise UsageError(f"`port=` must be at most {LAST_PORT}. Found {port}.")
    from labelgrid.web import server  # slow to load

    server.serve(
        folder, host=host, port=port, token_file=token_file, no_token=no_token, say=screen.say
    )


@with_options()
def live(folder: Path, request: LiveRequest) -> None:
    """Learn from each label while labels are made, and predict for the brush of the page.

    Example: [bold]labelgrid live flat[/]
    """
    with screen.Bar() as bar:
        from labelgrid.rounds.live import learn_while_labelling  # slow to load

        learn_while_labelling(folder, **request, progress=bar)


#: The commands of this module.
COMMANDS = (serve, live)
