"""Completes the tasks of a study by what its data set says of them. Loads no torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelgrid import plugins
from labelgrid.data.dataset import Described
from labelgrid.project.task_spec import task_rows_of
from labelgrid.simulation.study import Study


def with_dataset_tasks(study: Study, root: Path) -> Study:
    """The study with its tasks `completed` by those of its data set.

    Args:
        study: as its recipe has it.
        root: of its data set.

    Raises:
        ImageError: the data set cannot be read. RecipeError: its `tasks.toml` is no TOML. ProjectError: a task in it is
            wrong.
    """
    source = plugins.create("data", study.data, root)
    known = source.tasks() if isinstance(source, Described) else {}
    return replace(study, tasks=completed(study.tasks, known, root))


def completed(
    tasks: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]], root: Path
) -> dict[str, Mapping[str, Any]]:
    """Tables of tasks; a key that one lacks, such as `classes`, is that of the known task with its name and kind.

    Args:
        tasks: the tables of a recipe.
        known: the tables of a data set.
        root: the folder that its files of class names are relative to.

    Raises:
        ProjectError: a known task is wrong.

    Example:
        >>> known = {"semseg": {"classes": ["wall", "floor"], "cost": 2}, "depth": {"scale": 0.01}}
        >>> completed({"semseg": {"cost": 5}, "normals": {}}, known, Path())
        {'semseg': {'classes': ['wall', 'floor'], 'cost': 5}, 'normals': {}}
    """
    rows = {row.name: row for row in task_rows_of({name: known[name] for name in tasks if name in known}, root)}
    found = dict(tasks)
    for name, row in rows.items():
        if tasks[name].get("kind", name) == row.kind:
            found[name] = {**known[name], **row.options, **tasks[name]}  # a row has the names in a file of classes
    return found
