"""Commands that correct a project: change a task, withdraw labels, take images out.

Loads no torch.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelgrid.cli import screen
from labelgrid.cli.exchange import say_requested_again
from labelgrid.cli.grid import AsJson, Folder
from labelgrid.errors import command, note_unchanged
from labelgrid.words import count_text

if TYPE_CHECKING:
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.project.task_change import Changed


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
    drop: Annotated[
        bool, typer.Option("--drop", help="Drop the task; its labels stay on disk.")
    ] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Bring a dropped task back with its labels.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Change what a task declares, after checking its labels; drop it, or bring it back; show it.

    Example: [bold]labelgrid task flat depth --set scale=0.01 --set cost=2[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.project.task_change import TaskChange, change_task, drop_task, restore_task
    from labelgrid.project.task_spec import assignments

    if drop + restore + bool(values or classes or merge) > 1:
        raise UsageError(
            "--drop, --restore and changes exclude each other.", next_step="Give one of them."
        )
    change = TaskChange(
        assignments(values or [], "--set"), classes or [], assignments(merge or [], "--merge")
    )
    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        if drop:
            cancelled = drop_task(project, name)
            result: dict[str, Any] = {"task": name, "dropped": True, "cancelled": cancelled}
            said = f"Dropped {name}, cancelled {count_text(cancelled, 'request')}. `--restore` brings it back."
        else:
            if restore:
                restore_task(project, name)
            done = change_task(project, name, change, bar)
            result = _described(done)
            said = _words(done, project)
    if json:
        screen.print_json(result)
    else:
        screen.say(said)


def _described(done: "Changed") -> dict[str, Any]:
    """A task and its change as JSON values."""
    row = done.row
    values = {"task": row.name, "kind": row.kind, "cost": row.cost, "options": dict(row.options)}
    return values | {"checked": done.checked, "requested": done.requested, "stale": done.stale}


def _words(done: "Changed", project: "ProjectFolder") -> str:
    """A task and its change in words."""
    from labelgrid.project.records import newest_fit

    row = done.row
    said = f"{row.name} ({row.kind}), cost {row.cost:g} a label: {project.tasks()[row.name].describe()}"
    if done.checked:
        said += f"\nRead {count_text(done.checked, 'label')} with it."
    said += "".join(f"\n{moved}" for moved in done.moved)
    if done.stale and newest_fit(project.folder):
        said += "\nModels and scores made before are stale: `labelgrid fit` trains with it."
    if done.stale and done.requested:
        requests = count_text(done.requested, "request is", "requests are")
        said += f"\n{requests} open: `{command('export', project.folder)}` tells the annotators."
    return said


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
    from labelgrid.project.cancel import heldout_cells, unlabel
    from labelgrid.project.folder import ProjectFolder

    with ProjectFolder.open(folder) as project:
        withdrawn = unlabel(project, cells)
        held = len(heldout_cells(project.store, withdrawn))
    if json:
        screen.print_json({"withdrawn": len(withdrawn)})
    else:
        screen.say(
            f"Withdrew {count_text(len(withdrawn), 'label')}."
            + (f" {say_requested_again(held)}" if held else "")
        )


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

    from labelgrid.project import remove as removing
    from labelgrid.project.folder import ProjectFolder

    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        done = (
            removing.restore(project, images, bar) if restore else removing.remove(project, images)
        )
    if json:
        screen.print_json(asdict(done))
    else:
        screen.say(str(done))


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (task, unlabel, remove):
        app.command()(each)
