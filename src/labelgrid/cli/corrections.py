"""Commands that correct a project: tasks, labels, requests and images, as a user names them.

Loads no torch.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelgrid.basics.errors import command, note_unchanged
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.cli.exchange import Split, say_requested_again
from labelgrid.cli.grid import AsJson, Folder
from labelgrid.cli.opening import open_project

if TYPE_CHECKING:
    from labelgrid.api.project import Project
    from labelgrid.operations.task_change import Changed


@note_unchanged("The task is unchanged.")
def task(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="TASK", help="The task's name.")],
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="cost, classes or an option of its label files. Repeatable.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="A class to add at the end. Repeatable."),
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=INTO", help="Count the pixels of a class as another one. Repeatable."
        ),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete", help="The labels that are there show all classes, also newer ones."
        ),
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="Drop the task; its labels stay on disk.")
    ] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Bring a dropped task back with its labels.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show a task, change what it declares, drop it, or bring it back.

    Example: [bold]labelgrid task flat depth --set scale=0.01 --set cost=2[/]
    """
    from labelgrid.project.task_spec import assignments

    changes = assignments(values or [], "--set")
    merged = assignments(merge or [], "--merge")
    with open_project(folder) as project:
        done = project.task(
            name,
            changes,
            classes=classes or (),
            merge=merged,
            complete=complete,
            drop=drop,
            restore=restore,
        )
        if drop:
            result: dict[str, Any] = {"task": name, "dropped": True, "cancelled": done.cancelled}
            requests = count_text(done.cancelled, "request")
            text = f"Dropped {name}, cancelled {requests}. `--restore` brings it back."
        else:
            result = _task_values(done)
            text = _task_text(done, project)
    if json:
        screen.print_json(result)
    else:
        screen.say(text)


def _task_values(done: "Changed") -> dict[str, Any]:
    """A task and its change as JSON values."""
    row = done.row
    return {
        "task": row.name,
        "kind": row.kind,
        "cost": row.cost,
        "options": dict(row.options),
        "checked": done.checked,
        "requested": done.requested,
        "stale": done.stale,
        "older": done.older,
    }


def _task_text(done: "Changed", project: "Project") -> str:
    """A task and its change in words."""
    from labelgrid.project.records import newest_fit

    row = done.row
    declared = project.tasks[row.name].describe()
    lines = [f"{row.name} ({row.kind}), cost {row.cost:g} a label: {declared}"]
    if done.checked:
        lines.append(f"Read {count_text(done.checked, 'label')} with it.")
    lines += done.moved
    if done.older:
        labels = count_text(done.older, "label is", "labels are")
        say = command("task", project.folder, row.name, "--complete")
        lines.append(
            f"{labels} older than a class, and taken to say nothing about it. If they show it: "
            f"`{say}`."
        )
    if done.stale and newest_fit(project.folder):
        lines.append("Models and scores made before are stale: `labelgrid fit` trains with it.")
    if done.stale and done.requested:
        requests = count_text(done.requested, "request is", "requests are")
        export = command("export", project.folder)
        lines.append(f"{requests} open: `{export}` tells the annotators.")
    return "\n".join(lines)


@note_unchanged("Nothing was withdrawn.")
def unlabel(
    folder: Folder,
    cells: Annotated[
        list[str], typer.Argument(metavar="CELLS", help="Labelled cells as IMAGE:TASK.")
    ],
    json: AsJson = False,
) -> None:
    """Withdraw wrong labels: their cells are missing again; files and history are kept.

    Example: [bold]labelgrid unlabel flat kitchen/0004.jpg:depth[/]
    """
    with open_project(folder) as project:
        withdrawn = project.unlabel(cells)
    if json:
        screen.print_json({"withdrawn": len(withdrawn.cells)})
        return
    text = f"Withdrew {count_text(len(withdrawn.cells), 'label')}."
    if withdrawn.heldout:
        text += f" {say_requested_again(len(withdrawn.heldout))}"
    screen.say(text)


@note_unchanged("Nothing was requested.")
def request(
    folder: Folder,
    cells: Annotated[
        list[str], typer.Argument(metavar="CELLS", help="Missing cells as IMAGE:TASK.")
    ],
    json: AsJson = False,
) -> None:
    """Request labels that you chose yourself, beside what queries pick.

    Example: [bold]labelgrid request flat kitchen/0004.jpg:depth[/]
    """
    from labelgrid.operations.next_step import next_step

    with open_project(folder) as project:
        requested = project.request(cells)
        next_command = next_step(project.disk).line
    if json:
        screen.print_json({"requested": len(requested.cells)})
        return
    screen.say(f"Requested {count_text(len(requested.cells), 'label')}.\nNext: {next_command}")


@note_unchanged("Nothing was skipped.")
def skip(
    folder: Folder,
    cells: Annotated[
        list[str],
        typer.Argument(metavar="CELLS", help="Requested cells as IMAGE:TASK, or request ids."),
    ],
    why: Annotated[str, typer.Option(help="The reason, one line.")] = "",
    json: AsJson = False,
) -> None:
    """Skip requests that nobody can answer: no query picks these cells again.

    Example: [bold]labelgrid skip flat kitchen/0004.jpg:depth --why "too dark"[/]
    """
    with open_project(folder) as project:
        skipped = project.skip(cells, why=why)
    if json:
        screen.print_json({"skipped": len(skipped.cells)})
        return
    requests = count_text(len(skipped.cells), "request")
    screen.say(f"Skipped {requests}. `labelgrid cancel --requeue` asks for them again.")


@note_unchanged("Nothing was removed.")
def remove(
    folder: Folder,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES", help="Image ids, as requests name them.")
    ],
    restore: Annotated[
        bool, typer.Option("--restore", help="Bring removed images back with their labels.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Take images out of the project, or bring them back; their files, labels and history are kept.

    Example: [bold]labelgrid remove flat kitchen/0004.jpg[/]
    """
    from dataclasses import asdict

    with open_project(folder) as project:
        done = project.restore(images) if restore else project.remove(images)
    if json:
        screen.print_json(asdict(done))
    else:
        screen.say(str(done))


@note_unchanged("Nothing was changed.")
def split(
    folder: Folder,
    split: Annotated[Split, typer.Argument(metavar="SPLIT", help="train, val or test.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGES]...", help="Image ids; by default all in no split."),
    ] = None,
    was: Annotated[str, typer.Option(help="Only images of this unknown split.")] = "",
    json: AsJson = False,
) -> None:
    """Put images that are in no split into one; `status` names them.

    Example: [bold]labelgrid split flat train --was training-2[/]
    """
    with open_project(folder) as project:
        names = project.set_split(split.value, images or (), was=was)
    if json:
        screen.print_json({"images": names, "split": split.value})
    else:
        screen.say(f"Put {count_text(len(names), 'image')} into the split '{split.value}'.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (task, unlabel, request, skip, split, remove):
        app.command()(each)
