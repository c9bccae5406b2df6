"""Keeps what tools' names of classes mean in the settings, for later imports. Loads no torch."""

from collections.abc import Mapping
from dataclasses import replace

from labelgrid.files import disk_errors, read_text, write_text
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import text_with_names


def keep_names(project: ProjectFolder, names: Mapping[str, str]) -> None:
    """Write what names of classes mean to `[names]` of `labelgrid.toml`; its other lines stay.

    Args:
        project: the project; its settings have the names from now on.
        names: a tool's name of a class -> the task's, or "ignore".

    Raises:
        ProjectError: the file cannot be written. The labels are imported all the same.
    """
    if names.items() <= project.settings.names.items():
        return
    file = project.folder / SETTINGS
    with disk_errors(file, "The labels were imported; the names were not kept."):
        write_text(file, text_with_names(read_text(file), names))
    project.settings = replace(project.settings, names={**project.settings.names, **names})


def names_note(known: Mapping[str, str], asked: Mapping[str, bool]) -> list[str]:
    """A line on the names of earlier imports that were used; none if none was.

    Args:
        known: what the names meant in earlier imports.
        asked: the names of this one.

    Example:
        >>> names_note({"car": "vehicle", "person": "ignore"}, {"car": True, "road": True})
        ['Names as in earlier imports: car = vehicle (labelgrid.toml, [names]).']
    """
    used = [f"{name} = {meaning}" for name, meaning in known.items() if name in asked]
    if not used:
        return []
    return [f"Names as in earlier imports: {', '.join(used)} ({SETTINGS}, [names])."]
