"""The command that finds held-out images which look like training images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelgrid.basics.errors import command
from labelgrid.basics.words import count_text, join_names
from labelgrid.cli import screen
from labelgrid.cli.grid import AsJson
from labelgrid.cli.model import On, ShardSize, Workers
from labelgrid.cli.opening import open_project
from labelgrid.cli.shares import share_at, share_values

#: The images that a line names.
SHOWN = 5

if TYPE_CHECKING:
    from labelgrid.rounds.lookalikes import FoundDuplicates


def duplicates(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")],
    on: On = "",
    workers: Workers = 0,
    shard: ShardSize = 0,
    json: AsJson = False,
) -> None:
    """Find held-out images that look like training images, such as frames of one video.

    Writes the pairs to DIR/duplicates.csv, and pictures of the most alike to
    DIR/duplicates.png.

    Example: [bold]labelgrid duplicates flat[/]
    """
    with open_project(folder) as project:
        found = project.duplicates(on=on, workers=workers, shard=shard)
    if found is None:  # a share of the images was read, which was said
        if json:
            screen.print_json(share_values(share_at(on)))
        return
    if json:
        screen.print_json(_as_json(found))
        return
    _say(folder, found)


def _as_json(found: "FoundDuplicates") -> dict[str, object]:
    """What was found, as JSON values."""
    return {
        **vars(found),
        "pairs": [pair._asdict() for pair in found.pairs],
        "table": str(found.table),
        "sheet": str(found.sheet) if found.sheet else None,
    }


def _say(folder: Path, found: "FoundDuplicates") -> None:
    """Say what was found, where it is written, and what to do."""
    if found.sheet:
        pairs = count_text(len(found.pairs), "pair")
        remove = command("remove", folder, found.pairs[0].training)
        screen.say(found.warning)
        screen.say(f"Or take the training images out: {remove}, for example.")
        screen.say(f"Wrote {pairs} to {found.table}; {found.sheet} shows the most alike.")
    else:
        measured = count_text(found.measured, "held-out image")
        training = count_text(found.training, "training image")
        screen.say(f"None of {measured} looks like one of {training}.")
    if found.small:
        from labelgrid.images.thumbnails import LEAST  # slow to load

        names = join_names(found.small, SHOWN)
        screen.say(f"Not compared, as they have less than {LEAST} pixels a side: {names}.")
    if found.unread:
        names = join_names(sorted(found.unread), SHOWN)
        verify = command("verify", folder)
        screen.say(f"Not compared, as they cannot be read: {names}. `{verify}` says why.")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(duplicates)
