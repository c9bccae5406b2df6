"""Defines the request for a study: recipe, data set, folder and number of parallel runs.

Loads no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError, note_unchanged
from labelgrid.basics.processes import cores
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.data.dataset import DescribedDataset
from labelgrid.executors.workplace import HERE
from labelgrid.lab.simulation import plugin_code
from labelgrid.lab.simulation.study_recipe import Study, study_of
from labelgrid.project.settings import resolve_recipe
from labelgrid.project.task_spec import task_rows_of
from labelgrid.recipes.resolve import load_recipe


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """A study with data set and folder of runs.

    Args:
        recipe: a shipped recipe's name, or the absolute path of one.
        study: the runs and their budgets.
        root: the data set's root.
        weights: the absolute path of a local file of backbone weights; "" downloads them if the
            recipe needs them.
        out: the folder of all runs; an existing one is resumed.
        jobs: the number of parallel runs; 0: one per processor core.
        force: resume runs although the code of an own plug-in has changed; the report notes it.
        on: the place where the runs are executed; see `executors.workplace`.
    """

    recipe: str
    study: Study
    root: Path
    weights: str
    out: Path
    jobs: int = 0
    force: bool = False
    on: str = HERE

    @classmethod
    @note_unchanged("Nothing was run.")
    def of(
        cls,
        recipe: str,
        data: Path,
        out: Path,
        *,
        weights: Path | None = None,
        changes: Values | None = None,
        jobs: int = 0,
        force: bool = False,
        on: str = HERE,
    ) -> "StudyRequest":
        """Create the request for a recipe's study.

        Args:
            recipe: a shipped recipe's name, or a path.
            data: the data set's root.
            out: the folder of all runs.
            weights: a local file of backbone weights.
            changes: values of [simulate] that replace the recipe's.
            jobs: the number of parallel runs; 0: one per processor core.
            force: resume runs although the code of an own plug-in has changed.
            on: the place where the runs are executed.

        Raises:
            RecipeError: there is no such recipe, it has no [simulate], or a value is wrong.
            ImageError: the data set cannot be read.
            ProjectError: the class names in its `tasks.toml` are wrong.
        """
        name = resolve_recipe(recipe)
        study = add_dataset_classes(study_of(name, changes), data)
        return cls(
            recipe=name,
            study=study,
            root=data,
            weights=str(weights.absolute()) if weights else "",
            out=out,
            jobs=jobs,
            force=force,
            on=on,
        )

    @property
    def at_once(self) -> int:
        """The number of parallel runs, at most."""
        return self.jobs or cores()

    def to_json(self) -> Json:
        """The values of `study.json` that describe the study."""
        recipe = json.loads(load_recipe(self.recipe).json())
        study = json.loads(json.dumps(asdict(self.study)))
        values = {"recipe": recipe, "study": study, "root": str(self.root.absolute())}
        code = plugin_code.digests([recipe, study])
        if code:
            values["code"] = code
        return values


def add_dataset_classes(study: Study, root: Path) -> Study:
    """Return the study with the `classes` of the data set's own tasks where its tasks name none.

    Args:
        study: as its recipe has it.
        root: the root of its data set.

    Raises:
        ImageError: the data set cannot be read.
        RecipeError, ProjectError: its `tasks.toml` is wrong.
    """
    source = plugins.create("layouts", study.data, root)
    dataset_tasks: Tables = {}
    if isinstance(source, DescribedDataset):
        dataset_tasks = source.tasks()
    try:
        return replace(study, tasks=add_known_classes(study.tasks, dataset_tasks, root))
    except LabelgridError as error:
        error.where = ", ".join(filter(None, (error.where, f"the data set's own tasks, {root}")))
        raise


def add_known_classes(tasks: Tables, dataset_tables: Tables, root: Path) -> dict[str, Values]:
    """Give each task without `classes` the classes of a known task with equal name and kind.

    Args:
        tasks: the tables of a recipe.
        dataset_tables: the tables of a data set.
        root: the folder that its files of class names are relative to.

    Returns:
        The tables of all tasks.

    Raises:
        ProjectError, RecipeError: the known classes are wrong.

    Example:
        >>> arrays = {"semseg": {"classes": ["wall", "floor"], "cost": 2}, "depth": {"scale": 0.01}}
        >>> add_known_classes({"semseg": {"cost": 5}, "depth": {}}, arrays, Path())
        {'semseg': {'cost': 5, 'classes': ['wall', 'floor']}, 'depth': {}}
    """
    tables = dict(tasks)
    for name, values in tasks.items():
        table = dataset_tables.get(name)
        if "classes" in values or not (isinstance(table, Mapping) and "classes" in table):
            continue
        kind = table.get("kind", name)
        if values.get("kind", name) == kind:
            (row,) = task_rows_of({name: {"kind": kind, "classes": table["classes"]}}, root)
            tables[name] = {**values, "classes": row.options["classes"]}
    return tables
