"""Keeps the meanings of tools' class names, and of pixels without a region, for later imports.

Loads no torch.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from labelgrid.annotate.import_options import NONE, ImportOptions
from labelgrid.annotate.uncovered import Drawn
from labelgrid.basics.files import disk_errors, read_text, write_text
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.settings import text_with_rest, text_with_values


def keep_names(project: ProjectFolder, names: Mapping[str, str]) -> None:
    """Write the meanings of class names to `[names]` of `labelgrid.toml`; other lines stay.

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
        write_text(file, text_with_values(read_text(file), "names", names))
    project.settings = replace(project.settings, names={**project.settings.names, **names})


def keep_rest(project: ProjectFolder, rest: str, drawn: Collection[Drawn]) -> None:
    """Write the class of what no region covers to `[rest]` of `labelgrid.toml`.

    Args:
        project: the project; its settings have it from now on.
        rest: the class, or "none": what earlier imports said ends; empty: nothing is changed.
        drawn: the tasks concerned, and the connectors that read their labels.

    Raises:
        ProjectError: the file cannot be written. The labels are imported all the same.
    """
    if not rest:
        return
    kept = {task: dict(tools) for task, tools in project.settings.rest.items()}
    for task, tool in drawn:
        names = project.tasks()[task].region_names
        kept.setdefault(task, {}).pop(tool, None)
        if rest != NONE or NONE in names:
            kept[task][tool] = rest
    kept = {task: tools for task, tools in kept.items() if tools}
    if kept == project.settings.rest:
        return
    file = project.folder / SETTINGS
    with disk_errors(file, "The labels were imported; --rest was not kept."):
        write_text(file, text_with_rest(read_text(file), kept))
    project.settings = replace(project.settings, rest=kept)


def names_note(options: ImportOptions, asked: Collection[str]) -> list[str]:
    """A line on the names of earlier imports that were used; none if none was.

    Args:
        options: the meanings of names; meanings given in this import are not reported as earlier
            ones.
        asked: the names in the labels of this import.

    Example:
        >>> options = ImportOptions(kept_names={"car": "vehicle", "person": "ignore"})
        >>> names_note(options, ["car", "road"])
        ['Names as in earlier imports: car = vehicle (labelgrid.toml, [names]).']
    """
    earlier = set(asked) - options.names.keys()
    used = []
    for name, meaning in options.kept_names.items():
        if name in earlier:
            used.append(f"{name} = {meaning}")
    if not used:
        return []
    return [f"Names as in earlier imports: {', '.join(used)} ({SETTINGS}, [names])."]
