"""Commands that correct tasks, labels, requests and images of a project.

Loads no torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.api.requests import ChangeTaskRequest, SetSplitRequest, SkipRequest
from labelgrid.basics.errors import UsageError, command, note_unchanged
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.cli.exchange import say_requested_again
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options

if TYPE_CHECKING:
    from labelgrid.api.project import Project
    from labelgrid.operations.task_change import Changed


@note_unchanged("The task is unchanged.")
@with_options(
    drop="--drop: drop the task; its labels stay on disk",
    restore="--restore: bring a dropped task back with its labels",
)
def task(
    folder: Path,
    request: ChangeTaskRequest,
    drop: bool = False,
    restore: bool = False,
    json: bool = False,
) -> None:
    """Show a task, change the declaration, drop the task, or bring it back.

    Example: [bold]labelgrid task flat depth --set scale=0.01 --set cost=2[/]
    """
    name = request.name
    if drop + restore + bool(len(request.given()) > 1) > 1:
        raise UsageError(
            "--drop, --restore and changes exclude each other.", next_step="Give one of them."
        )
    with open_project(folder) as project:
        if drop:
            cancelled = project.drop_task(name).cancelled
            requests = count_text(cancelled, "request")
            text = f"Dropped {name}, cancelled {requests}. `--restore` brings it back."
            values: Json = {"task": name, "dropped": True, "cancelled": cancelled}
        else:
            done = project.restore_task(name) if restore else project.change_task(**request)
            text = _task_text(done, project)
            row = done.row
            values = {"task": name, "kind": row.kind, "cost": row.cost, "options": row.options}
            for count_name in ("checked", "requested", "stale", "older"):
                values[count_name] = getattr(done, count_name)
    screen.print_result(values, json, text)


def _task_text(done: "Changed", project: "Project") -> str:
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
@with_options(cells="CELLS: labelled cells as IMAGE:TASK")
def unlabel(
    folder: Path,
    cells: Sequence[str],
    json: bool = False,
) -> None:
    """Withdraw wrong labels: their cells are missing again; files and history are kept.

    Example: [bold]labelgrid unlabel flat kitchen/0004.jpg:depth[/]
    """
    with open_project(folder) as project:
        withdrawn = project.unlabel(cells)
    text = f"Withdrew {count_text(len(withdrawn.cells), 'label')}."
    if withdrawn.heldout:
        text += f" {say_requested_again(len(withdrawn.heldout))}"
    screen.print_result({"withdrawn": len(withdrawn.cells)}, json, text)


@note_unchanged("Nothing was requested.")
@with_options(cells="CELLS: missing cells as IMAGE:TASK")
def request(
    folder: Path,
    cells: Sequence[str],
    json: bool = False,
) -> None:
    """Request labels of your own choice, beside the picks of queries.

    Example: [bold]labelgrid request flat kitchen/0004.jpg:depth[/]
    """
    from labelgrid.operations.next_step import next_step

    with open_project(folder) as project:
        requested = project.request(cells)
        next_command = next_step(project.disk).line
    count = len(requested.cells)
    text = f"Requested {count_text(count, 'label')}.\nNext: {next_command}"
    screen.print_result({"requested": count}, json, text)


@note_unchanged("Nothing was skipped.")
@with_options()
def skip(
    folder: Path,
    request: SkipRequest,
    json: bool = False,
) -> None:
    """Skip requests that nobody can answer: no query picks the cells again.

    Example: [bold]labelgrid skip flat kitchen/0004.jpg:depth --why "too dark"[/]
    """
    with open_project(folder) as project:
        count = len(project.skip(**request).cells)
    requests = count_text(count, "request")
    text = f"Skipped {requests}. `labelgrid cancel --requeue` asks for them again."
    screen.print_result({"skipped": count}, json, text)


@note_unchanged("Nothing was removed.")
@with_options(
    images="IMAGES: image ids, as requests name them",
    restore="--restore: bring removed images back with their labels",
)
def remove(
    folder: Path,
    images: Sequence[str],
    restore: bool = False,
    json: bool = False,
) -> None:
    """Take images out of the project, or bring them back; files, labels and history are kept.

    Example: [bold]labelgrid remove flat kitchen/0004.jpg[/]
    """
    with open_project(folder) as project:
        done = project.restore(images) if restore else project.remove(images)
    screen.print_result(done, json)


@note_unchanged("Nothing was changed.")
@with_options()
def split(
    folder: Path,
    request: SetSplitRequest,
    json: bool = False,
) -> None:
    """Put images without a split into a split; `status` names them.

    Example: [bold]labelgrid split flat train --was training-2[/]
    """
    with open_project(folder) as project:
        names = project.set_split(**request)
    text = f"Put {count_text(len(names), 'image')} into the split '{request.split}'."
    screen.print_result({"images": names, "split": request.split}, json, text)


#: The commands of this module.
COMMANDS = (task, unlabel, request, skip, split, remove)
