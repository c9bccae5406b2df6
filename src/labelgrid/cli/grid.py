"""Commands on the grid: create and extend a project, and show its status.

Loads no torch.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.api.places import Place
from labelgrid.api.requests import AddRequest, CreateRequest
from labelgrid.basics.errors import UsageError, command, note_unchanged
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options

if TYPE_CHECKING:
    from labelgrid.api.reader import ProjectReader

#: A new project with more images is timed only if that is asked for.
MOST_TIMED = 100_000
Titles = Mapping[str, str]
#: Value of a task -> the title of its column in `status`.
STATE_COLUMNS: Titles = {
    name: name for name in ("kind", "missing", "requested", "labelled", "skipped", "spent")
}
TIME_COLUMNS: Titles = {
    "labels": "labels with a time",
    "median": "median s",
    "mean": "mean s",
    "cost": "learned cost",
}
#: What an export after `add` asks for, and after the first query.
HELDOUT_FIRST = "   (the held-out images' labels come first)"
HELDOUT_TOO = "   (asks for the held-out images' labels, too)"


@note_unchanged("Nothing was made.")
@with_options(
    task_file="--tasks: a TOML file with one table per task",
    time="--time: measure how long a round takes here, in some ten seconds; by default in a "
    "terminal, for at most 100,000 images",
)
def init(
    folder: Path,
    request: CreateRequest,
    task_file: Path | None = None,
    time: bool | None = None,
    json: bool = False,
) -> None:
    """Create a project from images and tasks.

    Example: [bold]labelgrid init flat --images photos --task semseg:classes.txt --task depth
    --holdout 50[/]
    """
    from labelgrid.api.reader import ProjectReader
    from labelgrid.project.settings import AUTO
    from labelgrid.suppliers.ready_encoders import about_encoder

    if not request.images:
        raise UsageError("No images were named.", next_step="Add --images FOLDER.")
    if json and time:
        raise UsageError(
            "--time is not for --json.",
            next_step=f"`{command('time', folder)} --json` measures.",
        )
    recipe = request.recipe or AUTO
    with screen.Bar() as bar:
        tasks = _tasks(request.tasks, task_file)
        request = replace(request, tasks=tasks, progress=bar, recipe=recipe)
        project = ProjectReader.create(**request)
    with project:
        if json:
            about = about_encoder(project.disk.settings, folder)
            screen.print_json(asdict(project.counts()) | about | left_out_values(project))
            return
        say_left_out(project)
        if time is None:
            time = sys.stdout.isatty() and project.counts().images <= MOST_TIMED
        _show_new(project, time, chosen=recipe == AUTO)


def left_out_values(project: "ProjectReader") -> Json:
    """The images that a command left out, as JSON values."""
    left_out = [asdict(fault) for fault in project.left_out]
    for values in left_out:
        del values["cell"]
    return {"left_out": left_out}


def say_left_out(project: "ProjectReader") -> None:
    """Print the images that a command left out, with the reasons."""
    from labelgrid.annotate.answers import fault_lines
    from labelgrid.project.folder import LEFT_OUT

    if not project.left_out:
        return
    images = count_text(
        len(project.left_out), "image that cannot be read", "images that cannot be read"
    )
    screen.say(f"Left out: {images}. {project.folder / LEFT_OUT} lists all.")
    for line in fault_lines(project.left_out):
        screen.say(f"  {line}")


def _show_new(project: "ProjectReader", time: bool, *, chosen: bool) -> None:
    """Print the new project and its next step; with `chosen`, also why it has its recipe."""
    from labelgrid.advice.first_time import FirstTime, first_time
    from labelgrid.operations.early_warnings import early_warnings
    from labelgrid.operations.next_step import first_query, next_step
    from labelgrid.suppliers.ready_encoders import encoder_text
    from labelgrid.suppliers.ready_models import ready_models

    folder = project.folder
    counts = project.counts()
    images = count_text(counts.images, "image")
    columns = count_text(counts.tasks, "task")
    screen.say(
        f"Made {folder}: {images}, {counts.heldout:,} of them held out for measuring, {columns}."
    )
    for task in project.tasks.values():
        declared = task.describe().splitlines()[0]
        screen.say(f"  {task.name} ({task.kind}), cost {task.cost:g} a label: {declared}")
    words = ("task", folder, "TASK", "--set", "cost=2")
    example = command(*words)
    screen.say(f"  If your costs or label files differ: {example}, for example.")
    measured = FirstTime(folder=folder)
    if time:
        with screen.Bar() as bar:
            bar.start("Timing a round; Ctrl-C skips it", 1, "recipes")
            measured = first_time(folder)
            bar.advance()
    screen.say(f"  {measured}")
    offers = project.offered_relations()
    if offers:
        screen.say(f"  {offers}")
    encoder = encoder_text(project.disk.settings, folder) if chosen else ""
    if encoder:
        screen.say(f"  {encoder}")
    for model in ready_models(project.disk):
        screen.say(f"  {model.text(folder)}")
    for line in early_warnings(project.disk):
        screen.say(f"  {line}")
    too = HELDOUT_TOO if counts.heldout else ""
    first = first_query(project.disk) or next_step(project.disk).line
    screen.say(f"Next: {first}{too}")


def _tasks(typed: Any, task_file: Path | None) -> list[Place]:
    return [*([task_file] if task_file else ()), *typed]


@note_unchanged("Nothing was added.")
@with_options(task_file="--tasks: a TOML file with one table per task")
def add(
    folder: Path,
    request: AddRequest,
    task_file: Path | None = None,
    json: bool = False,
) -> None:
    """Add images or tasks to a project, or hold out images of it.

    Example: [bold]labelgrid add flat --images more --task normals[/]
    """
    if not (request.images or request.tasks or task_file or request.holdout != "0"):
        raise UsageError(
            "Neither images nor tasks were named.",
            next_step="Add --images FOLDER, or --task NAME, such as --task depth.",
        )
    with open_project(folder) as project:
        before = len(project.tasks)
        added = project.add(**replace(request, tasks=_tasks(request.tasks, task_file)))
        counts = project.counts()
        if json:
            screen.print_json(asdict(added) | left_out_values(project))
            return
        say_left_out(project)
        new = counts.tasks - before
        offers = project.offered_relations() if new else ""
    screen.say(f"{folder}: {added}; {count_text(new, 'new task')}.")
    if offers:
        screen.say(offers)
    if added.held or (new and counts.heldout):
        screen.say(f"Next: {command('export', folder)}{HELDOUT_FIRST}")


@with_options()
def status(folder: Path, json: bool = False) -> None:
    """Show images, cells by state, costs and rounds.

    Example: [bold]labelgrid status flat --json[/]
    """
    with open_project(folder, looking=True) as project:
        values = project.status()
    if json:
        screen.print_json(values)
        return
    screen.say(
        f"{folder}: {count_text(values['images'], 'image')} ({values['heldout_images']:,} held out)"
    )
    _show_left_out(values)
    _show_rows("task", values["tasks"], STATE_COLUMNS)
    for name, task in values["tasks"].items():
        if task.get("derived"):
            count = count_text(task["derived"], "missing label follows", "missing labels follow")
            screen.say(f"{name}: {count} from others of the image, worth {task['saved']:g}.")
        if "in_part" in task:
            screen.say(f"{name}: {_in_part_text(task['in_part'])}.")
    _show_times(values)
    _show_suppliers(values["suppliers"])
    _show_rounds(values["rounds"])
    for headline in values["headlines"]:
        screen.say(headline["text"])
    if values["relations"]:
        screen.say(values["relations"])
    following = values["next"]
    if values["advice"]:
        screen.say(f"Advice: {values['advice']}")
        following += "   (of all tasks, if you do not follow the advice)"
    screen.say(f"Next: {following}")


def _in_part_text(in_part: Values) -> str:
    counts = [f"{in_part[state]:,} {state}" for state in ("requested", "labelled", "skipped")]
    return f"{count_text(in_part['cells'], 'cell')} in part, regions: {', '.join(counts)}"


def _show_left_out(values: Values) -> None:
    if aside := values["set_aside"]:
        name, reason = next(iter(aside.items()))
        images = count_text(
            len(aside),
            "image is set aside, with its cells",
            "images are set aside, with their cells",
        )
        screen.say(f"{images}; the first is '{name}': {reason}")
    if values["unknown_splits"]:
        screen.say(values["unknown_splits"])
    if values["camera"]:
        screen.say(values["camera"]["text"])
    if gone := values["removed"]["images"]:
        screen.say(f"Removed: {count_text(gone, 'image')}.")
    if dropped := values["removed"]["tasks"]:
        spent = values["spent"] - sum(task["spent"] for task in values["tasks"].values())
        screen.say(f"Dropped tasks: {', '.join(dropped)}; {spent:g} was spent on them.")


def _show_times(values: Json) -> None:
    from labelgrid.project.prices import few_times

    tasks = values["tasks"]
    times = {name: task["times"] for name, task in tasks.items() if task["times"]}
    if not times:
        return
    _show_rows("task", times, TIME_COLUMNS)
    for name, task in times.items():
        few = few_times(task["labels"])
        if few:
            screen.say(f"{name}: its time and what follows from it are {few}.")
    if values["costs"] == "declared":
        screen.say(
            "Queries use the declared costs; "
            'with costs = "times" in labelgrid.toml, the learned ones.'
        )


def _show_suppliers(suppliers: Values) -> None:
    if suppliers:
        from labelgrid.project.suppliers import SUPPLIER_COLUMNS, supplier_rows

        screen.print_table("", SUPPLIER_COLUMNS, supplier_rows(suppliers))


def _show_rounds(rounds: Sequence[Values]) -> None:
    columns = ["round", "strategy", "budget", "unit", "state"]
    rows = []
    for row in rounds:
        if row["strategy"]:
            rows.append([row[name] for name in columns])
        else:
            rows.append([row["round"], "", "", "", f"{row['state']}, nothing requested"])
    if rows:
        screen.print_table("", columns, rows)


def _show_rows(first: str, entries: Tables, titles: Titles) -> None:
    """Print a table with a row for each entry; `first` is the title of their names."""
    rows = []
    for name, values in entries.items():
        rows.append([name, *(values[key] for key in titles)])
    screen.print_table("", [first, *titles.values()], rows)


#: The commands of this module.
COMMANDS = (init, add, status)
