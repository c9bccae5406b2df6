"""Commands on data sets: make one of rendered scenes, look at any."""

import re
from pathlib import Path
from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.errors import with_unchanged


@with_unchanged("What had been rendered is kept.")
def scenes(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The data set's folder; an existing one is extended.")],
    count: Annotated[int, typer.Option(help="Scenes in all.", min=1)] = 500,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "96x128",
    seed: Annotated[int, typer.Option(help="Of rooms, cameras and light.")] = 0,
    samples: Annotated[int, typer.Option(help="Light paths a pixel: fewer are noisier.", min=1)] = 16,
    jobs: Annotated[int, typer.Option(help="Processes; 0: one a processor core.", min=0)] = 0,
) -> None:
    """Render rooms with exact labels of every task, as a data set of the layout `folder`.

    Example: [bold]labelgrid scenes rooms --count 200 --size 96x128[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.scenes.write import SceneSettings, write_scenes

    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if not found:
        raise UsageError(f"'{size}' is no size.", next_step="Say --size 96x128: height, then width.")
    wanted = SceneSettings((int(found[1]), int(found[2])), seed, samples)
    with screen.Bar() as bar:
        there, new = write_scenes(out, count, wanted, bar, jobs)
    screen.say(
        f"{out}: {there} scenes, {new} of them rendered now. Look at some: labelgrid sheet {out} --out sheet.png"
    )


def sheet(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The data set's root.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="The picture, a PNG.")],
    format: Annotated[str, typer.Option(help="Its layout: see `labelgrid list data`.")] = "folder",
    tasks: Annotated[Path | None, typer.Option(help="A TOML file of tasks; else ROOT/tasks.toml.")] = None,
    count: Annotated[int, typer.Option(help="Images, spread evenly over all.", min=1)] = 12,
) -> None:
    """Draw images of a data set beside their labels: a row an image, a column a task.

    Example: [bold]labelgrid sheet rooms --out sheet.png[/]
    """
    from labelgrid import plugins
    from labelgrid.errors import UsageError
    from labelgrid.project.task_spec import task_rows
    from labelgrid.scenes.sheet import contact_sheet
    from labelgrid.tasks.task import definitions

    if out.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{out} is inside the data set, whose files stay as they are.", next_step="Name another path.")
    source = plugins.resolve("data", format)(root)
    names = list(source.images())
    count = min(count, len(names))
    chosen = [names[place * len(names) // count] for place in range(count)]
    contact_sheet(source, definitions(task_rows(tasks or root / "tasks.toml")), chosen, out)
    screen.say(f"Wrote {out}: {len(chosen)} of {len(names)} images.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (scenes, sheet):
        app.command()(command)
