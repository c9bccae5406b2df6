"""Finds models ready for a project, with their tasks and the cost of ten audits.

TOML files describe the models, in the folder `models` in or beside the project, or in the folder
that the variable LABELGRID_MODELS names. Loads no torch.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import LabelgridError, command
from labelgrid.basics.words import join_names
from labelgrid.project.cells.random_labels import ENOUGH
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import read_index, supplier_names
from labelgrid.suppliers.model_file import model_path, read_model_file

VARIABLE = "LABELGRID_MODELS"
FOLDER = "models"
#: So many files of a folder are read.
MOST = 100


@dataclass(frozen=True, kw_only=True)
class ReadyModel:
    """A model that lies ready, and gave a project no labels yet.

    Args:
        path: the description.
        tasks: the tasks that the model labels.
        cost: the cost of ten true labels of each task, to measure the model on.
    """

    path: Path
    tasks: tuple[str, ...]
    cost: float

    def text(self, folder: Path) -> str:
        """The sentence on the model's tasks and commands, for the project in a folder."""
        words = ("supply", folder, self.path.stem, "--model", self.path)
        return (
            f"{self.path.name} lies ready and may give {join_names(self.tasks)}: "
            f"`{command(*words)}`. {ENOUGH} true labels of each task, which measure how true "
            f"(`{command('query', folder, '--audit', ENOUGH)}`), cost {self.cost:g}."
        )


def ready_models(project: ProjectFolder) -> list[ReadyModel]:
    """The models that fit a task of the project, without unreadable models."""
    used = set()
    for name in supplier_names(project):
        used |= {delivery.settings.get("file") for delivery in read_index(project, name).deliveries}
    tasks = project.tasks()
    ready = []
    for path in ready_files(project.folder, "*.toml"):
        try:
            model = read_model_file(path)
            model_path(path, model)
        except LabelgridError:
            continue
        given = model.tasks(tasks)
        if given and model.file not in used:
            names = tuple(task.name for task in given.values())
            cost = ENOUGH * sum(task.cost for task in given.values())
            ready.append(ReadyModel(path=path, tasks=names, cost=cost))
    return ready


def ready_files(folder: Path, pattern: str) -> Iterator[Path]:
    """The files of a pattern in the folders of models for the project in a folder."""
    named = os.environ.get(VARIABLE)
    places = [Path(named)] if named else [folder / FOLDER, folder.parent / FOLDER]
    for place in places:
        yield from sorted(place.glob(pattern))[:MOST]
