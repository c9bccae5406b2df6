"""Says by a short hash what is known of a project's labels and cameras. Loads no torch."""

import json
from contextlib import suppress
from dataclasses import asdict

from labelgrid.basics.config import read_toml
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import read_text
from labelgrid.basics.version import __version__
from labelgrid.project.folder import CAMERAS, SETTINGS, ProjectFolder
from labelgrid.recipes.resolve import hash_of


def stamp_of_labels(project: ProjectFolder) -> str:
    """A hash that changes when a cell, a task, the settings, the recipe or the cameras do.

    Raises:
        RecipeError: the file of the cameras is wrong.
    """
    ledger = [project.store.change_count(), [asdict(row) for row in project.store.tasks()]]
    recipe = None
    with suppress(LabelgridError):  # commands that need the recipe say so
        recipe = json.loads(project.recipe().json())
    return hash_of(__version__, ledger, _texts(project), recipe)


def _texts(project: ProjectFolder) -> list[str]:
    """The files of settings and cameras, as far as there are such files."""
    cameras = project.folder / CAMERAS
    paths = [project.folder / SETTINGS, cameras]
    table = read_toml(cameras).get("table") if cameras.is_file() else None
    if table:
        paths.append(project.folder / str(table))
    return [read_text(path) for path in paths if path.is_file()]
