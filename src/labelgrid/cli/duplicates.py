"""The command that finds held-out images like training images."""

from pathlib import Path

from labelgrid.api.requests import SpreadRequest
from labelgrid.basics.errors import command
from labelgrid.basics.words import count_text, join_names
from labelgrid.cli import screen
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options
from labelgrid.cli.shares import said_share

#: The images that a line names.
SHOWN = 5


@with_options()
def duplicates(
    folder: Path,
    request: SpreadRequest,
    json: bool = False,
) -> None:
    """Find held-out images that look like training images, as frames of a video do.

    Writes the pairs to DIR/duplicates.csv, and pictures of the most alike to
    DIR/duplicates.png.

    Example: [bold]labelgrid duplicates flat[/]
    """
    with open_project(folder) as project:
        result = project.duplicates(**request)
    if result is None:  # a share of the images was read
        said_share(request.on, json)
        return
    if json:
        files = {
            "pairs": [pair._asdict() for pair in result.pairs],
            "table": str(result.table),
            "sheet": str(result.sheet) if result.sheet else None,
        }
        screen.print_json({**vars(result), **files})
        return
    if result.sheet:
        pairs = count_text(len(result.pairs), "pair")
        remove = command("remove", folder, result.pairs[0].training)
        screen.say(result.warning)
        screen.say(f"Or take the training images out: {remove}, for example.")
        screen.say(f"Wrote {pairs} to {result.table}; {result.sheet} shows the most alike.")
    else:
        measured = count_text(result.measured, "held-out image")
        training = count_text(result.training, "training image")
        screen.say(f"None of {measured} looks like one of {training}.")
    if result.small:
        from labelgrid.images.thumbnails import LEAST  # slow to load

        names = join_names(result.small, SHOWN)
        screen.say(f"Not compared, as they have less than {LEAST} pixels a side: {names}.")
    if result.unread:
        names = join_names(sorted(result.unread), SHOWN)
        verify = command("verify", folder)
        screen.say(f"Not compared, as they cannot be read: {names}. `{verify}` says why.")


#: The commands of this module.
COMMANDS = (duplicates,)
