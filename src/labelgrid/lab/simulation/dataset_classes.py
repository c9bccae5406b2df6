"""Takes the class names that a study's tasks lack from its data set. Loads no torch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError
from labelgrid.data.dataset import DescribedDataset
from labelgrid.lab.simulation.study import Study
from labelgrid.project.task_spec import task_rows_of


def add_dataset_classes(study: Study, root: Path) -> Study:
    """Return the study with the `classes` of the data set's own tasks where its tasks name none.

    Args:
        study: as its recipe has it.
        root: of its data set.

    Raises:
        ImageError: the data set cannot be read.
        RecipeError, ProjectError: its `tasks.toml` is wrong.
    """
    source = plugins.create("layouts", study.data, root)
    dataset_tasks: Mapping[str, Mapping[str, Any]] = {}
    if isinstance(source, DescribedDataset):
        dataset_tasks = source.tasks()
    try:
        return replace(study, tasks=add_known_classes(study.tasks, dataset_tasks, root))
    except LabelgridError as error:
        error.where = ", ".join(filter(None, (error.where, f"the data set's own tasks, {root}")))
        raise


def add_known_classes(
    tasks: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]], root: Path
) -> dict[str, Mapping[str, Any]]:
    """Give each task without `classes` those of the known task with its name and kind.

    Args:
        tasks: the tables of a recipe.
        known: the tables of a data set.
        root: the folder that its files of class names are relative to.

    Returns:
        The tables of all tasks.

    Raises:
        ProjectError, RecipeError: the known classes are wrong.

    Example:
        >>> known = {"semseg": {"classes": ["wall", "floor"], "cost": 2}, "depth": {"scale": 0.01}}
        >>> add_known_classes({"semseg": {"cost": 5}, "depth": {}}, known, Path())
        {'semseg': {'cost': 5, 'classes': ['wall', 'floor']}, 'depth': {}}
    """
    tables = dict(tasks)
    for name, values in tasks.items():
        table = known.get(name)
        if "classes" in values or not (isinstance(table, Mapping) and "classes" in table):
            continue
        kind = table.get("kind", name)
        if values.get("kind", name) == kind:
            (row,) = task_rows_of({name: {"kind": kind, "classes": table["classes"]}}, root)
            tables[name] = {**values, "classes": row.options["classes"]}
    return tables
