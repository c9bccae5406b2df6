"""Says by what a project is known on a labelling tool's server. Loads no torch."""

from pathlib import Path

from labelgrid.annotate.connector import ToolServer
from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.streams import seed_of
from labelgrid.project.folder import ProjectFolder


def tool_server(
    project: ProjectFolder, url: str, token_file: Path | None, root: Path | None = None
) -> ToolServer | None:
    """A server with the project's key, which stays when the folder moves; None without a URL.

    Raises:
        UsageError: there is no URL, or no file with a token.
        ProjectError: the project never had a request or label.
    """
    if not url and not token_file and not root:
        return None
    if not url:
        option = "--local-files" if root else "--token-file"
        raise UsageError(f"{option} is for a server.", next_step="Add --url.")
    if token_file is None:
        raise UsageError(
            "--url needs --token-file.",
            next_step="Copy a personal access token from the server's page of your account into a "
            "file, and name it with --token-file.",
        )
    first = next(iter(project.store.events()), None)
    if first is None:
        raise ProjectError(
            "The project has no request yet.", where=project.folder, unchanged="Nothing was sent."
        )
    cell = first.move.cell
    key = seed_of(0, first.operation.at, cell.image_id, cell.task)
    return ToolServer(
        url=url,
        token_file=token_file,
        project=project.folder.resolve().name,
        key=f"{key:016x}",
        root=root,
    )
