"""Says by a short hash what is known of a project's labels and cameras. Loads no torch."""

from dataclasses import asdict

from labelgrid import __version__
from labelgrid.config import read_toml
from labelgrid.files import read_text
from labelgrid.project.folder import CAMERAS, SETTINGS, ProjectFolder
from labelgrid.recipes.resolve import hash_of


def stamp_of_labels(project: ProjectFolder) -> str:
    """A hash that changes when a cell, a task, the settings or what is known of cameras does.

    Raises:
        RecipeError: the file of the cameras is wrong.
    """
    tasks = [asdict(row) for row in project.store.tasks()]
    return hash_of(__version__, project.store.last_event(), tasks, _texts(project))


def _texts(project: ProjectFolder) -> list[str]:
    """The settings and the cameras, with the table of these, as far as there are such files."""
    cameras = project.folder / CAMERAS
    paths = [project.folder / SETTINGS, cameras]
    table = read_toml(cameras).get("table") if cameras.is_file() else None
    if table:
        paths.append(project.folder / str(table))
    return [read_text(path) for path in paths if path.is_file()]
