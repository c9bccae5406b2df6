"""Keeps what tools' names of classes mean in the settings, for later imports. Loads no torch."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from labelgrid.annotate.import_options import ImportOptions
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


def names_note(options: ImportOptions, asked: Collection[str]) -> list[str]:
    """A line on the names of earlier imports that were used; none if none was.

    Args:
        options: what names mean; those that this import says itself are not of earlier ones.
        asked: the names in the labels of this import.

    Example:
        >>> options = ImportOptions(known={"car": "vehicle", "person": "ignore"})
        >>> names_note(options, ["car", "road"])
        ['Names as in earlier imports: car = vehicle (labelgrid.toml, [names]).']
    """
    earlier = set(asked) - options.names.keys()
    used = [f"{name} = {meaning}" for name, meaning in options.known.items() if name in earlier]
    if not used:
        return []
    return [f"Names as in earlier imports: {', '.join(used)} ({SETTINGS}, [names])."]
