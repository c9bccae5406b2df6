"""Commands that bring requests out and labels in: import, supply, export, cancel.

Loads no torch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from labelgrid.api.requests import (
    CancelRequest,
    ExportRequest,
    ImportAnswersRequest,
    ImportRequest,
    ImportSuppliedRequest,
    SupplyRequest,
)
from labelgrid.api.spelling import words_of
from labelgrid.basics.errors import PluginError, UsageError, command, note_unchanged
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options
from labelgrid.cli.shares import said_share

if TYPE_CHECKING:
    from labelgrid.api.project import Project
    from labelgrid.imports.imported import Imported
    from labelgrid.ledger.grid import Cell


class TypedImportRequest(ImportAnswersRequest, ImportSuppliedRequest, ImportRequest):
    """The arguments of the command `import`.

    Args:
        labels: a labelling tool's file, zip or folder, or a folder of labels, or the address of
            one, or several; not with `url`.
        supplier: whose labels these are: cheap, and not true; they label no cell.
    """

    labels: Sequence[str] = ()
    supplier: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        server = bool(self.url or self.token_file)
        if any(self.labels) == server:
            raise UsageError(
                "An import is of LABELS, or of a server.",
                next_step="Leave out LABELS or --url."
                if server
                else "Name a file or folder, or --format label-studio with --url.",
            )

    def carry_out(self, project: "Project") -> "Imported":
        """Import by the method for the kind of labels."""
        if self.url or self.token_file:
            return project.import_answers(**self.part(ImportAnswersRequest))
        if self.supplier:
            return project.import_supplied(**self.part(ImportSuppliedRequest))
        return project.import_labels(**self.part(ImportRequest))


def _plugin_name(name: str | None, *folders: str) -> str | None:
    """The plug-in of some folders that a user names; hyphens may stand for underscores.

    As in all folders, a shipped name comes before one of an installed package.
    """
    from labelgrid.basics import plugins

    if not name or ":" in name:
        return name
    plain = name.replace("-", "_")
    if any(plain in plugins.names(folder) for folder in folders):
        return plain
    is_plugin = any(plugins.is_known(folder, name) for folder in folders)
    return name if is_plugin else plain


@note_unchanged("Nothing was imported.")
@with_options()
def import_(
    folder: Path,
    request: TypedImportRequest,
    json: bool = False,
) -> None:
    """Import labels: all of them, or none and a list of faults.

    Example: [bold]labelgrid import flat flat/rounds/0001/request[/]
    """
    from labelgrid.annotate.answers import ImportRefused

    request = replace(request, format=_plugin_name(request.format, "tools", "layouts"))
    with open_project(folder) as project:
        before = project.offered_relations(labelled=True)
        try:
            done = request.carry_out(project)
        except ImportRefused as refused:
            if json:
                screen.print_json(refused)  # with all faults
            raise
        offers = project.offered_relations(labelled=True)
    screen.print_result(done, json)
    if offers not in ("", before) and not json:
        screen.say(offers)
    if done.refused:
        raise typer.Exit(1)
    if request.dry_run and not json:
        again = command("import", folder, *words_of(replace(request, dry_run=False)))
        screen.say(f"Nothing was imported. Next: {again}")


@note_unchanged("Nothing was imported; labels that were made are kept for the next run.")
@with_options()
def supply(
    folder: Path,
    request: SupplyRequest,
    json: bool = False,
) -> None:
    """Label the training images with a model, and import the labels as a supplier's.

    Example: [bold]labelgrid supply flat depth-anything --model models/depth-anything.toml[/]
    """
    request = replace(request, maker=_plugin_name(request.maker, "makers") or "")
    with open_project(folder) as project:
        done = project.supply(**request)
    if not said_share(request.on, json):
        screen.print_result(done, json)


@with_options()
def export(
    folder: Path,
    request: ExportRequest,
    json: bool = False,
) -> None:
    """Write the open requests (or all labels) as files; run again, it updates the folder.

    Example: [bold]labelgrid export flat --to folder --out to-label[/]
    """
    from labelgrid.basics import plugins

    request = replace(request, to=_plugin_name(request.to, "tools") or "")
    try:
        plugins.resolve("tools", request.to)
    except PluginError as error:
        raise typer.BadParameter(str(error), param_hint="'--to'") from error
    with open_project(folder) as project:
        done = project.export(**request)
    values = {**vars(done), "folders": list(map(str, done.folders))}
    del values["rest"]
    values["what"] = values.pop("contents")
    screen.print_result(values, json, str(done))


@note_unchanged("Nothing was cancelled.")
@with_options()
def cancel(
    folder: Path,
    request: CancelRequest,
    json: bool = False,
) -> None:
    """Cancel requests; without cells and --round, all open requests except for held-out images.

    Example: [bold]labelgrid cancel flat kitchen/0004.jpg:depth[/]
    """
    with open_project(folder) as project:
        changed = project.cancel(**request)
    held = len(changed.heldout)
    requested = changed.heldout if request.requeue else []
    missing = [cell for cell in changed.cells if cell not in set(requested)]
    if json:
        values = {"missing": cells_as_json(missing), "requested": cells_as_json(requested)}
        screen.print_json(values)
        return
    screen.say(f"{count_text(len(missing), 'cell is', 'cells are')} missing again.")
    if held and request.requeue:
        screen.say(say_requested_again(held))
    elif held:
        again = command("cancel", folder, "--requeue", *(request.cells or ["--round", "0"]))
        screen.say(f"No strategy picks held-out images: `{again}` requests theirs again.")


def cells_as_json(cells: "Iterable[Cell]") -> list[dict[str, str]]:
    """Cells as JSON values."""
    return [{"image": cell.image_id, "task": cell.task} for cell in cells]


def say_requested_again(count: int) -> str:
    """Say that cells of held-out images are requested again."""
    cells = count_text(count, "cell of a held-out image is", "cells of held-out images are")
    return f"{cells} requested again."


#: The commands of this module.
COMMANDS = (export, cancel, import_, supply)
