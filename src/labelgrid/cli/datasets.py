"""Commands on data sets: check the files, draw images with labels, measure predictions."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from labelgrid.api.door import Positive
from labelgrid.api.requests import ProtocolRequest
from labelgrid.basics.errors import UsageError, command
from labelgrid.basics.words import count_text, join_names
from labelgrid.cli import screen
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options

if TYPE_CHECKING:
    from labelgrid.data.dataset import Dataset
    from labelgrid.operations.dataset_check import Contents

#: The parameters of several commands.
NAME = "NAME: the layout; see `labelgrid list layouts`"
ROOT = "ROOT!: the data set's root"
TASKS = "--tasks: a TOML file of tasks; by default the data set's own"
#: The faults that `data check` prints.
FAULTS = 20


@with_options(
    root="DIR!: a project, or the root of a data set",
    out="--out: the PNG file to write; of a project, sheet.png in it by default",
    format="--format: a data set's layout; see `labelgrid list layouts`",
    tasks=TASKS,
    count="--count: number of images, spread evenly over the data set, or a project's images with "
    "labels",
)
def sheet(
    root: Path,
    out: Path | None = None,
    format: str = "folder",
    tasks: Path | None = None,
    count: Positive = 12,
    json: bool = False,
) -> None:
    """Draw images of a project or a data set beside their labels.

    Example: [bold]labelgrid sheet flat[/]
    """
    from labelgrid.project.folder import SETTINGS, STUDY

    if (root / SETTINGS).is_file() or (root / STUDY).is_file():
        if tasks or format != "folder":
            raise UsageError(
                "A project knows its layout and its tasks.",
                where=str(root),
                next_step="Leave out --format and --tasks.",
            )
        with open_project(root, looking=True) as project:
            drawn = project.sheet(out, count=count)
        labelled = "image with labels" if drawn.labelled else "image, none of which has a label"
        whole = count_text(drawn.images, labelled, labelled.replace("image", "images"))
        values = {"sheet": str(drawn.path), "shown": drawn.shown, "images": drawn.images}
        screen.print_result(values, json, f"Wrote {drawn.path}: {drawn.shown} of {whole}.")
        return
    if out is None:
        raise UsageError(
            "A data set must not be changed, so its sheet needs a place of its own.",
            where=str(root),
            next_step="Name a PNG file: --out sheet.png.",
        )
    from labelgrid.drawings.contact_sheet import contact_sheet
    from labelgrid.operations.dataset_check import tasks_of
    from labelgrid.operations.grid_sheet import spread

    _refuse_inside(out, root)
    source = _source(format, root)
    image_ids = source.images()
    chosen = spread(image_ids, count)
    contact_sheet(source, tasks_of(source, root, tasks), chosen, out)
    values = {"sheet": str(out), "shown": len(chosen), "images": len(image_ids)}
    text = f"Wrote {out}: {len(chosen)} of {count_text(len(image_ids), 'image')}."
    screen.print_result(values, json, text)


@with_options(
    name=NAME,
    root=ROOT,
    tasks=TASKS,
    count="--count: read only this number of images, spread evenly over the data set",
    out="--out: a PNG file for a sheet of 12 images with their labels",
)
def check(
    name: str,
    root: Path,
    tasks: Path | None = None,
    count: Positive | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Read the images and labels of a data set, and list the contents and the faults.

    Exits with 1 if there is a fault.

    Example: [bold]labelgrid data check folder rooms --out sheet.png[/]
    """
    from labelgrid.drawings.contact_sheet import check_out, contact_sheet
    from labelgrid.operations.dataset_check import layout_faults, read_contents, tasks_of
    from labelgrid.operations.grid_sheet import spread

    if out:
        _refuse_inside(out, root)
        check_out(out)
    source = _source(name, root)
    definitions = tasks_of(source, root, tasks)
    chosen = spread(source.images(), count or len(source.images()))
    with screen.Bar() as bar:
        contents = read_contents(
            source, definitions, image_ids=chosen, layout=layout_faults(name, root), progress=bar
        )
    if json:
        screen.print_json(contents)
    else:
        _show(contents)
    wrong = set()
    for fault in contents.faults:
        if fault.cell:
            wrong.add(fault.cell.image_id)
    sound = [image_id for image_id in chosen if image_id not in wrong]
    if out and sound:
        contact_sheet(source, definitions, spread(sound, 12), out)
        screen.note(f"Wrote {out}.")
    if contents.faults or contents.layout:
        raise typer.Exit(1)


@with_options(
    name=NAME,
    root=ROOT,
    predictions="PREDICTIONS!: their folder, as TASK/IMAGE",
    split="--split: the data set's split to measure on; all images by default",
    tasks=TASKS,
)
def evaluate(
    name: str,
    root: Path,
    predictions: Path,
    request: ProtocolRequest,
    split: str = "",
    tasks: Path | None = None,
    json: bool = False,
) -> None:
    """Measure prediction files from any program on a data set.

    Example: [bold]labelgrid data evaluate nyud NYUD_MT predicted --split val[/]
    """
    from labelgrid.operations.dataset_check import tasks_of
    from labelgrid.project.task_spec import name_task_file
    from labelgrid.rounds.evaluate_files import evaluate_files

    source = _source(name, root)
    splits = source.splits() if split else {}
    if split and split not in splits:
        raise UsageError(
            f"The data set has no split '{split}'.",
            next_step=f"Its splits are: {', '.join(splits) or 'none'}.",
        )
    image_ids = splits.get(split, source.images())
    protocol = request.protocol
    with name_task_file(), screen.Bar() as bar:
        definitions = tasks_of(source, root, tasks)
        protocol.check(definitions)
        values = evaluate_files(
            source,
            definitions,
            image_ids=image_ids,
            folder=predictions,
            progress=bar,
            protocol=protocol,
        )
    if not protocol.is_whole:
        values["protocol"] = protocol.as_json()
    if json:
        screen.print_json(values)
    else:
        screen.print_metrics(values)


@with_options(name=NAME)
def layout(name: str, json: bool = False) -> None:
    """Print the layout of a data set: where to get it, and the files.

    Example: [bold]labelgrid data layout nyud[/]
    """
    from labelgrid.basics import plugins

    module = plugins.module("layouts", name)
    summary = (module.__doc__ or "").strip().partition("\n")[0]
    origin = getattr(module, "ORIGIN", "")
    files = getattr(module, "LAYOUT", "").strip("\n")
    if json:
        screen.print_json({"name": name, "what": summary, "origin": origin, "layout": files})
        return
    screen.say(summary)
    screen.say(f"Where to get it: {origin or 'not said'}\n")
    screen.say(files or "The module has no text LAYOUT.")


#: The commands of this module, beside those of the group `data`.
COMMANDS = (sheet,)
data = typer.Typer(
    help="Check a data set, measure predictions on it, or print its layout.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    data.command()(check)
    data.command()(evaluate)
    data.command()(layout)
    app.add_typer(data, name="data")


def _source(name: str, root: Path) -> "Dataset":
    from labelgrid.basics import plugins
    from labelgrid.basics.errors import ImageError

    try:
        return cast("Dataset", plugins.create("layouts", name, root))
    except ImageError as error:
        error.next_step = (
            f"{error.next_step} `{command('data', 'layout', name)}` prints the layout.".lstrip()
        )
        raise


def _refuse_inside(out: Path, root: Path) -> None:
    if out.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"{out} is inside the data set, which must not be changed.",
            next_step="Name another path.",
        )


def _show(contents: "Contents") -> None:
    images = f"{contents.read:,} of {count_text(contents.images, 'image')}"
    splits = ", ".join(f"{name} {count:,}" for name, count in contents.splits.items()) or "none"
    sizes = join_names([f"{size} ({count:,})" for size, count in contents.sizes.items()], 5)
    screen.say(f"Read {images}, of the sizes {sizes}. Splits: {splits}.")
    columns = ["task", "kind", "labels", "missing", "empty", "wrong", "valid, %", "values"]
    rows = []
    for name, task in contents.tasks.items():
        counts = [task.labels, task.missing, task.empty, task.damaged]
        rows.append([name, task.kind, *counts, 100 * task.valid, task.values])
    screen.print_table("", columns, rows)
    for text in contents.layout:
        screen.say(text)
    for text in contents.remarks:
        screen.say(f"Remark: {text}")
    for fault in contents.faults[:FAULTS]:
        screen.say(str(fault))
    if len(contents.faults) > FAULTS:
        screen.say(f"... and {len(contents.faults) - FAULTS:,} more; --json lists all.")
