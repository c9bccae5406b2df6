"""Commands that exchange requests and labels with labelling tools: import, export, cancel.

Loads no torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelgrid.basics.errors import command, note_unchanged
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.cli.grid import AsJson, Folder
from labelgrid.cli.opening import open_project

if TYPE_CHECKING:
    from labelgrid.ledger.grid import Cell

Url = Annotated[
    str,
    typer.Option(help="The labelling tool's server, such as http://localhost:8080."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="A file with the access token of one of the server's users, alone."),
]


class Split(StrEnum):
    """The splits that an import can choose."""

    train = "train"
    val = "val"
    test = "test"


class Keep(StrEnum):
    """Which of several answers an import keeps."""

    first = "first"
    last = "last"


def _plugin_name(name: str | None) -> str | None:
    """A plug-in's name, which may be written with hyphens: label-studio."""
    if name and ":" not in name:
        return name.replace("-", "_")
    return name


@note_unchanged("Nothing was imported.")
def import_(
    folder: Folder,
    labels: Annotated[
        list[str] | None,  # as typed: see `Images`
        typer.Argument(
            metavar="[LABELS]...",
            help="A labelling tool's file, zip or folder, or a folder of labels, or the address of "
            "one, or several; not with --url.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "--from",
            help="The labelling tool or data set layout; "
            "see `labelgrid list tools` and `list layouts`. By default the tool that recognises "
            "LABELS, or else `folder`.",
            callback=_plugin_name,
        ),
    ] = None,
    split: Annotated[
        Split | None, typer.Option(help="Put the images of these labels in this split.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace labels; the old versions are kept.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Import labels although they look wrong.")
    ] = False,
    limit: Annotated[
        int, typer.Option(help="Import only this many images, drawn with --seed.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the draw of --limit; 0 by default.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="The task of all labels, where their names do not say it.")
    ] = "",
    map: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What a tool's names of classes mean, 'car=vehicle,person=ignore', or a file with "
            "such a pair a line; 'ignore' is not labelled. Kept for later imports.",
        ),
    ] = "",
    rest: Annotated[
        str,
        typer.Option(
            metavar="CLASS",
            help="The class of pixels that no region covers, or 'ignore': not labelled, as by "
            "default. Kept for the task and the tool; 'none' ends that.",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be imported, and import nothing.")
    ] = False,
    keep: Annotated[
        Keep | None,
        typer.Option(help="Which counts, if a tool has several answers for an image."),
    ] = None,
    url: Url = "",
    token_file: TokenFile = None,
    supplier: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="These labels are of a supplier: cheap, and not true. They label no cell.",
        ),
    ] = "",
    cost: Annotated[
        float | None, typer.Option(help="What a label of the supplier costs; 0 by default.")
    ] = None,
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out", help="Go on without entries and files that are wrong; they are named."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Import labels: all of them, or none and a list of faults.

    Example: [bold]labelgrid import flat flat/rounds/0001/request[/]
    """
    from labelgrid.annotate.import_options import read_names

    names = read_names(map) if map else None
    with open_project(folder) as project, faults_as_json(json):
        before = project.offered_relations(labelled=True)
        done = project.import_labels(
            labels,
            format=format,
            split=split.value if split else None,
            replace=replace,
            accept=accept,
            limit=limit,
            seed=seed,
            task=task,
            map=names,
            rest=rest,
            dry_run=dry_run,
            keep=keep.value if keep else None,
            url=url,
            token_file=token_file,
            supplier=supplier,
            cost=cost,
            leave_out=leave_out,
        )
        offers = project.offered_relations(labelled=True)
    print_import_result(done, json)
    if offers not in ("", before) and not json:
        screen.say(offers)
    if done.refused:
        raise typer.Exit(1)
    if dry_run and not json:
        given = {
            "--format": format,
            "--split": split,
            "--limit": limit or None,
            "--seed": seed,
            "--task": task or None,
            "--map": map or None,
            "--rest": rest or None,
            "--keep": keep,
            "--replace": replace,
            "--accept": accept,
            "--supplier": supplier or None,
            "--cost": cost,
            "--leave-out": leave_out,
        }
        again = command("import", folder, *(labels or ()), *_as_words(given))
        screen.say(f"Nothing was imported. Next: {again}")


def _as_words(given: Mapping[str, object]) -> list[object]:
    """Options and their values as words of a command; those that are None or False are left out."""
    words: list[object] = []
    for option, value in given.items():
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, value]
    return words


@contextmanager
def faults_as_json(json: bool) -> Iterator[None]:
    """Print all faults of a refused import as JSON, too."""
    from labelgrid.annotate.answers import ImportRefused

    try:
        yield
    except ImportRefused as refused:
        if json:
            screen.print_json(refused.as_json())
        raise


def print_import_result(done: object, json: bool) -> None:
    """Print the result of an import."""
    from dataclasses import asdict

    values = asdict(done)  # type: ignore[call-overload]
    if json:
        screen.print_json(values)
    else:
        screen.say(str(done))


def _connector(name: str) -> str:
    """Check that there is a connector of this name."""
    from labelgrid.basics import plugins
    from labelgrid.basics.errors import PluginError

    name = _plugin_name(name) or ""
    try:
        plugins.resolve("tools", name)
    except PluginError as error:
        raise typer.BadParameter(str(error)) from error
    return name


def export(
    folder: Folder,
    to: Annotated[
        str,
        typer.Option(help="The labelling tool; see `labelgrid list tools`.", callback=_connector),
    ] = "folder",
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; by default below the round's folder.")
    ] = None,
    round: Annotated[
        int | None,
        typer.Option(help="Only this round's requests; 0: those of the held-out images."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task's requests; can be repeated.")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Write all labels instead of requests.")
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Link images instead of copying them.")
    ] = False,
    url: Url = "",
    token_file: TokenFile = None,
    local_files: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Upload no images: the server serves them from --out, which is below this folder "
            "of its own machine.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Write the open requests (or all labels) as files; run again, it updates the folder.

    Example: [bold]labelgrid export flat --to folder --out to-label[/]
    """
    with open_project(folder) as project:
        done = project.export(
            out,
            to=to,
            round=round,
            task=task or (),
            labels=labels,
            link=link,
            url=url,
            token_file=token_file,
            local_files=local_files,
        )
    if json:
        folders = [str(folder) for folder in done.folders]
        values = {**vars(done), "folders": folders}
        del values["rest"]
        screen.print_json(values)
    else:
        screen.say(str(done))


@note_unchanged("Nothing was cancelled.")
def cancel(
    folder: Folder,
    cells: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CELLS]", help="Cells as IMAGE:TASK, or request ids."),
    ] = None,
    round: Annotated[
        int | None, typer.Option(help="Cancel all open requests of this round.")
    ] = None,
    requeue: Annotated[
        bool,
        typer.Option("--requeue", help="Ask again for skipped cells; held-out ones are requested."),
    ] = False,
    json: AsJson = False,
) -> None:
    """Cancel requests; without cells and --round, all open ones except those of held-out images.

    Example: [bold]labelgrid cancel flat kitchen/0004.jpg:depth[/]
    """
    with open_project(folder) as project:
        changed = project.cancel(cells or [], round=round, requeue=requeue)
    held = len(changed.heldout)
    requested = changed.heldout if requeue else []
    missing = [cell for cell in changed.cells if cell not in set(requested)]
    if json:
        values = {"missing": cells_as_json(missing), "requested": cells_as_json(requested)}
        screen.print_json(values)
        return
    screen.say(f"{count_text(len(missing), 'cell is', 'cells are')} missing again.")
    if held and requeue:
        screen.say(say_requested_again(held))
    elif held:
        again = command("cancel", folder, "--requeue", *(cells or ["--round", "0"]))
        screen.say(f"No strategy picks held-out images: `{again}` requests theirs again.")


def cells_as_json(cells: "Iterable[Cell]") -> list[dict[str, str]]:
    """Cells as JSON values."""
    return [{"image": cell.image_id, "task": cell.task} for cell in cells]


def say_requested_again(count: int) -> str:
    """Say that cells of held-out images are requested again."""
    cells = count_text(count, "cell of a held-out image is", "cells of held-out images are")
    return f"{cells} requested again."


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (export, cancel):
        app.command()(each)
    app.command("import")(import_)
