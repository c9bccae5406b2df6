"""Commands on the grid: create and extend a project, import labels, export requests, show status. Loads no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.errors import with_unchanged

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Images = Annotated[
    list[Path] | None,
    typer.Option(help="A folder of images, or a list file with one path per line. Repeatable."),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task", help="NAME[:KEY=VALUE,...], such as depth:scale=0.001 or parts:kind=semseg,classes=parts.txt."
    ),
]
TaskFile = Annotated[Path | None, typer.Option("--tasks", help="A TOML file with one table per task.")]
Weights = Annotated[Path | None, typer.Option(help="A local file of backbone weights.", exists=True, dir_okay=False)]


class Check(StrEnum):
    """How images are checked."""

    full = "full"
    none = "none"


class Split(StrEnum):
    """The splits that an import can choose."""

    train = "train"
    val = "val"
    test = "test"


Checking = Annotated[Check, typer.Option(help="Read every image completely, or open none (for very many images).")]


@with_unchanged("Nothing was made.")
def init(
    folder: Folder,
    images: Images = None,
    tasks: Tasks = None,
    task_file: TaskFile = None,
    holdout: Annotated[int, typer.Option(help="Number of images to hold out for measuring, drawn at random.")] = 0,
    group: Annotated[str, typer.Option(help="Regular expression on ids; equal matches stay together.")] = "",
    recipe: Annotated[str, typer.Option(help="A shipped recipe, or the path of one.")] = "small",
    strategy: Annotated[str, typer.Option(help="Strategy that picks cells; see `labelgrid list select`.")] = "partal",
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    check: Checking = Check.full,
) -> None:
    """Create a project from images and tasks.

    Example: [bold]labelgrid init flat --images photos --task semseg:classes.txt --task depth --holdout 50[/]
    """
    from labelgrid import plugins
    from labelgrid.errors import UsageError
    from labelgrid.project import create
    from labelgrid.project.settings import Settings, resolve_recipe
    from labelgrid.recipes.schema import PluginChoice

    if not images:
        raise UsageError("No images were named.", next_step="Add --images FOLDER.")
    rows = _task_rows(tasks, task_file)
    plugins.resolve("select", strategy)
    settings = Settings(
        resolve_recipe(recipe), seed, str(weights.absolute()) if weights else "", group, PluginChoice(strategy)
    )
    with screen.Bar() as bar:
        project = create.create(folder, images, rows, settings, bar, holdout=holdout, check=check.value)
    with project:
        held, total = project.store.count_images(("heldout",)), project.store.count_images()
        screen.say(f"Made {folder}: {total} images, {held} of them held out for measuring, {len(rows)} tasks.")
        for task in project.tasks().values():
            form = task.describe().splitlines()[0]
            screen.say(f"  {task.name} ({task.kind}), cost {task.cost:g} a label: {form}")
        screen.say(
            "  If your costs or label files differ, create it again with, for example, --task depth:scale=0.01,cost=2."
        )
        next_command = f"labelgrid export {folder}" if held else f"labelgrid query {folder} --budget 60"
        screen.say(f"Next: {next_command}" + ("   (the held-out images' labels come first)" if held else ""))


def _task_rows(tasks: list[str] | None, task_file: Path | None) -> list:  # type: ignore[type-arg]
    from labelgrid.project.task_spec import task_row, task_rows

    return [*(task_rows(task_file) if task_file else []), *(task_row(words) for words in tasks or [])]


@with_unchanged("Nothing was added.")
def add(
    folder: Folder,
    images: Images = None,
    tasks: Tasks = None,
    task_file: TaskFile = None,
    check: Checking = Check.full,
) -> None:
    """Add images or tasks to a project.

    Example: [bold]labelgrid add flat --images more --task normals[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.project import extend
    from labelgrid.project.folder import ProjectFolder

    if not (images or tasks or task_file):
        raise UsageError(
            "Neither images nor tasks were named.",
            next_step="Add --images FOLDER, or --task NAME, such as --task depth.",
        )
    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        rows = _task_rows(tasks, task_file)
        added = extend.add(project, images or [], rows, check.value, bar)
    screen.say(f"{folder}: {added}; {len(rows)} new tasks.")


@with_unchanged("Nothing was imported.")
def import_(
    folder: Folder,
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="A folder of labels or an answered request.")],
    format: Annotated[
        str, typer.Option(help="The labelling tool or data set layout; see `labelgrid list annotate` and `list data`.")
    ] = "folder",
    split: Annotated[Split | None, typer.Option(help="Put the images of these labels in this split.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace labels; the old versions are kept.")] = False,
    limit: Annotated[int, typer.Option(help="Import only this many images, drawn with --seed.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw of --limit; 0 by default.")] = None,
    json: AsJson = False,
) -> None:
    """Import labels: all of them, or none and a list of faults.

    Example: [bold]labelgrid import flat flat/rounds/0001/request[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.project import import_labels
    from labelgrid.project.folder import ProjectFolder

    if seed is not None and not limit:
        raise UsageError("--seed is the seed of --limit, which was not given.", next_step="Add --limit N.")
    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        done = import_labels.import_labels(
            project,
            labels,
            format=format,
            split=split.value if split else None,
            replace=replace,
            limit=limit,
            seed=seed or 0,
            progress=bar,
        )
    show_imported(done, json)


def show_imported(done: object, json: bool) -> None:
    """Print the result of an import."""
    from dataclasses import asdict

    values = asdict(done)  # type: ignore[call-overload]
    if json:
        screen.as_json(values)
    else:
        screen.say(str(done))


def _connector(name: str) -> str:
    """Check that there is a connector of this name."""
    from labelgrid import plugins
    from labelgrid.errors import PluginError

    try:
        plugins.resolve("annotate", name)
    except PluginError as error:
        raise typer.BadParameter(str(error)) from error
    return name


def export(
    folder: Folder,
    to: Annotated[
        str, typer.Option(help="The labelling tool; see `labelgrid list annotate`.", callback=_connector)
    ] = "folder",
    out: Annotated[Path | None, typer.Option(help="The folder to write; by default below the round's folder.")] = None,
    round: Annotated[
        int | None, typer.Option(help="Only this round's requests; 0: those of the held-out images.")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Write all labels instead of requests.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Link images instead of copying them.")] = False,
) -> None:
    """Write the open requests (or all labels) as files; run again, it updates the folder.

    Example: [bold]labelgrid export flat --to folder --out to-label[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.project import export
    from labelgrid.project.folder import ProjectFolder

    if labels and (link or round is not None):
        raise UsageError(
            "--labels writes all labels: it cannot be combined with --round or --link.", next_step="Leave them out."
        )
    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        if labels:
            done = export.export_labels(project, out or folder / "export", progress=bar)
        else:
            done = export.export(project, out, round=round, link=link, tool=to, progress=bar)
    screen.say(str(done))


@with_unchanged("Nothing was cancelled.")
def cancel(
    folder: Folder,
    cells: Annotated[
        list[str] | None, typer.Argument(metavar="[CELLS]", help="Cells as IMAGE:TASK, or request ids.")
    ] = None,
    round: Annotated[int | None, typer.Option(help="Cancel all open requests of this round.")] = None,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Make skipped cells missing instead, so that they can be picked again.")
    ] = False,
) -> None:
    """Cancel requests; without cells and --round, all open ones except those of held-out images.

    Example: [bold]labelgrid cancel flat kitchen/0004.jpg:depth[/]
    """
    from labelgrid.project import cancel
    from labelgrid.project.folder import ProjectFolder

    with ProjectFolder.open(folder) as project:
        count = cancel.cancel(project, cells or [], round=round, requeue=requeue)
    screen.say(f"{count} cells are missing again.")


def status(folder: Folder, json: AsJson = False) -> None:
    """Show images, cells by state, costs and rounds.

    Example: [bold]labelgrid status flat --json[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.project.status import status_of

    with ProjectFolder.open(folder) as project:
        values = status_of(project)
    if json:
        screen.as_json(values)
        return
    screen.say(f"{folder}: {values['images']} images ({values['heldout_images']} held out)")
    columns = ["kind", "missing", "requested", "labelled", "skipped", "spent"]
    rows = [[name, *(task[c] for c in columns)] for name, task in values["tasks"].items()]
    screen.table("", ["task", *columns], rows)
    if values["rounds"]:
        columns = ["round", "strategy", "budget", "unit", "state"]
        screen.table("", columns, [[row[c] for c in columns] for row in values["rounds"]])
    screen.say(f"Next: {values['next']}")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (init, add, export, cancel, status):
        app.command()(command)
    app.command("import")(import_)
