"""Commands on data sets: render one, and draw sheets of images with their labels."""

import re
from pathlib import Path
from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.errors import command, with_unchanged
from labelgrid.words import counted


@with_unchanged("Rendered scenes are kept.")
def scenes(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The data set's folder; an existing one is extended.")],
    count: Annotated[int, typer.Option(help="Total number of scenes.", min=1)] = 500,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "96x128",
    seed: Annotated[int, typer.Option(help="Seed of rooms, cameras and light.")] = 0,
    samples: Annotated[int, typer.Option(help="Light paths per pixel; fewer give more noise.", min=1)] = 16,
    frames: Annotated[int, typer.Option(help="Scenes of each room, from slightly moved cameras.", min=1)] = 1,
    jobs: Annotated[int, typer.Option(help="Parallel processes; 0: one per processor core.", min=0)] = 0,
) -> None:
    """Render rooms with exact labels of every task, as a data set of the layout `folder`.

    Example: [bold]labelgrid scenes rooms --count 200 --size 96x128[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.scenes.write import SceneSettings, write_scenes

    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if not match:
        raise UsageError(f"'{size}' is not a size.", next_step="Give height, then width: --size 96x128.")
    settings = SceneSettings((int(match[1]), int(match[2])), seed, samples, frames)
    with screen.Bar() as bar:
        total, new = write_scenes(out, count, settings, bar, jobs)
    screen.say(
        f"{out}: {counted(total, 'scene')}, {new:,} of them rendered now. "
        f"Look at some: {command('sheet', out, '--out', 'sheet.png')}"
    )


def sheet(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The data set's root.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    format: Annotated[str, typer.Option(help="The data set's layout; see `labelgrid list data`.")] = "folder",
    tasks: Annotated[Path | None, typer.Option(help="A TOML file of tasks; ROOT/tasks.toml by default.")] = None,
    count: Annotated[int, typer.Option(help="Number of images, spread evenly over the data set.", min=1)] = 12,
) -> None:
    """Draw images of a data set beside their labels: one row per image, one column per task.

    Example: [bold]labelgrid sheet rooms --out sheet.png[/]
    """
    from labelgrid import plugins
    from labelgrid.errors import UsageError
    from labelgrid.project.task_spec import task_rows
    from labelgrid.scenes.sheet import contact_sheet
    from labelgrid.tasks.task import definitions

    if out.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{out} is inside the data set, which must not be changed.", next_step="Name another path.")
    source = plugins.create("data", format, root)
    image_ids = list(source.images())
    count = min(count, len(image_ids))
    chosen = [image_ids[index * len(image_ids) // count] for index in range(count)]
    contact_sheet(source, definitions(task_rows(tasks or root / "tasks.toml")), chosen, out)
    screen.say(f"Wrote {out}: {len(chosen)} of {counted(len(image_ids), 'image')}.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (scenes, sheet):
        app.command()(each)
