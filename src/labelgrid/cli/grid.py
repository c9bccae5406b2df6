"""Commands on the grid: create and extend a project, import labels, export requests, show status.

Loads no torch.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelgrid.cli import screen
from labelgrid.errors import command, note_unchanged
from labelgrid.words import count_text

if TYPE_CHECKING:
    from labelgrid.project.folder import ProjectFolder

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Images = Annotated[
    list[Path] | None,
    typer.Option(help="A folder of images, or a list file with one path per line. Repeatable."),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        help="NAME[:KEY=VALUE,...], such as depth:scale=0.001 or parts:kind=semseg,classes=parts.txt.",
    ),
]
TaskFile = Annotated[
    Path | None, typer.Option("--tasks", help="A TOML file with one table per task.")
]
#: What an export after `init` and `add` asks for.
HELDOUT_FIRST = "   (the held-out images' labels come first)"
Weights = Annotated[
    Path | None, typer.Option(help="A local file of backbone weights.", exists=True, dir_okay=False)
]


class Check(StrEnum):
    """How images are checked."""

    full = "full"
    none = "none"


Checking = Annotated[
    Check, typer.Option(help="Read every image completely, or open none (for very many images).")
]


@note_unchanged("Nothing was made.")
def init(
    folder: Folder,
    images: Images = None,
    tasks: Tasks = None,
    task_file: TaskFile = None,
    holdout: Annotated[
        str,
        typer.Option(
            metavar="N|N%",
            help="Images to hold out for measuring, drawn at random: a number or a share.",
        ),
    ] = "0",
    group: Annotated[
        str, typer.Option(help="Regular expression on ids; equal matches stay together.")
    ] = "",
    recipe: Annotated[
        str, typer.Option(help="A shipped recipe, or the path of one.")
    ] = "small-shared-heads",
    strategy: Annotated[
        str, typer.Option(help="Strategy that picks cells; see `labelgrid list strategies`.")
    ] = "random_images",
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    check: Checking = Check.full,
) -> None:
    """Create a project from images and tasks.

    Example: [bold]labelgrid init flat --images photos --task semseg:classes.txt --task depth
    --holdout 50[/]
    """
    from labelgrid import plugins
    from labelgrid.errors import UsageError
    from labelgrid.project import create
    from labelgrid.project.settings import Settings, resolve_recipe
    from labelgrid.recipes.schema import PluginChoice

    if not images:
        raise UsageError("No images were named.", next_step="Add --images FOLDER.")
    rows = _task_rows(tasks, task_file)
    plugins.resolve("strategies", strategy)
    settings = Settings(
        recipe=resolve_recipe(recipe),
        seed=seed,
        weights=str(weights.absolute()) if weights else "",
        group=group,
        strategy=PluginChoice(strategy),
    )
    with screen.Bar() as bar:
        project = create.create(
            folder,
            images,
            tasks=rows,
            settings=settings,
            progress=bar,
            holdout=holdout,
            check=check.value,
        )
    with project:
        _show_new(project)


def _show_new(project: "ProjectFolder") -> None:
    """Print what was made, what would disappoint later, and the next command."""
    from labelgrid.project.advice import advice_of
    from labelgrid.project.requests import query_command

    folder = project.folder
    tasks = project.tasks()
    held = project.store.count_images(("heldout",))
    total = project.store.count_images()
    images = count_text(total, "image")
    columns = count_text(len(tasks), "task")
    screen.say(f"Made {folder}: {images}, {held:,} of them held out for measuring, {columns}.")
    for task in tasks.values():
        screen.say(
            f"  {task.name} ({task.kind}), cost {task.cost:g} a label: {task.describe().splitlines()[0]}"
        )
    screen.say(
        f"  If your costs or label files differ: {command('task', folder, 'TASK', '--set', 'cost=2')}, for example."
    )
    for line in advice_of(project):
        screen.say(f"  {line}")
    next_command = command("export", folder) if held else query_command(project)
    screen.say(f"Next: {next_command}" + (HELDOUT_FIRST if held else ""))


def _task_rows(tasks: list[str] | None, task_file: Path | None) -> list:  # type: ignore[type-arg]
    from labelgrid.project.task_spec import task_row, task_rows

    return [
        *(task_rows(task_file) if task_file else []),
        *(task_row(words) for words in tasks or []),
    ]


@note_unchanged("Nothing was added.")
def add(
    folder: Folder,
    images: Images = None,
    tasks: Tasks = None,
    task_file: TaskFile = None,
    holdout: Annotated[
        str,
        typer.Option(
            metavar="N|N%", help="Further images to hold out, never ones that were trained on."
        ),
    ] = "0",
    check: Checking = Check.full,
) -> None:
    """Add images or tasks to a project, or hold out images of it.

    Example: [bold]labelgrid add flat --images more --task normals[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.project import extend
    from labelgrid.project.folder import ProjectFolder

    if not (images or tasks or task_file or holdout != "0"):
        raise UsageError(
            "Neither images nor tasks were named.",
            next_step="Add --images FOLDER, or --task NAME, such as --task depth.",
        )
    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        rows = _task_rows(tasks, task_file)
        added = extend.add(
            project, images or [], tasks=rows, check=check.value, progress=bar, holdout=holdout
        )
        asked = added.held or (rows and project.store.count_images(("heldout",)))
    screen.say(f"{folder}: {added}; {count_text(len(rows), 'new task')}.")
    if asked:
        screen.say(f"Next: {command('export', folder)}{HELDOUT_FIRST}")


def status(folder: Folder, json: AsJson = False) -> None:
    """Show images, cells by state, costs and rounds.

    Example: [bold]labelgrid status flat --json[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.project.status import status_of

    with ProjectFolder.open(folder) as project:
        values = status_of(project)
    if json:
        screen.print_json(values)
        return
    screen.say(
        f"{folder}: {count_text(values['images'], 'image')} ({values['heldout_images']:,} held out)"
    )
    if aside := values["set_aside"]:
        name, reason = next(iter(aside.items()))
        images = count_text(
            len(aside),
            "image is set aside, with its cells",
            "images are set aside, with their cells",
        )
        screen.say(f"{images}; the first is '{name}': {reason}")
    if gone := values["removed"]["images"]:
        screen.say(f"Removed: {count_text(gone, 'image')}.")
    if dropped := values["removed"]["tasks"]:
        spent = values["spent"] - sum(task["spent"] for task in values["tasks"].values())
        screen.say(f"Dropped tasks: {', '.join(dropped)}; {spent:g} was spent on them.")
    columns = ["kind", "missing", "requested", "labelled", "skipped", "spent"]
    rows = [[name, *(task[c] for c in columns)] for name, task in values["tasks"].items()]
    screen.print_table("", ["task", *columns], rows)
    _show_times(values)
    if values["rounds"]:
        columns = ["round", "strategy", "budget", "unit", "state"]
        screen.print_table("", columns, [[row[c] for c in columns] for row in values["rounds"]])
    for headline in values["headlines"]:
        screen.say(headline["text"])
    screen.say(f"Next: {values['next']}")


def _show_times(values: dict[str, Any]) -> None:
    """Print how long labels took, where imports said so, and the costs that are learned from that."""
    times = {name: task["times"] for name, task in values["tasks"].items() if task["times"]}
    if not times:
        return
    columns = ["labels", "median", "mean", "cost"]
    titles = ["task", "labels with a time", "median s", "mean s", "learned cost"]
    screen.print_table(
        "", titles, [[name, *(task[c] for c in columns)] for name, task in times.items()]
    )
    if values["costs"] == "declared":
        screen.say(
            'Queries use the declared costs; with costs = "times" in labelgrid.toml, the learned ones.'
        )


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (init, add, status):
        app.command()(each)
