"""Reads how much of each image the newest scores predict as a class. Loads no torch."""

from pathlib import Path

from labelgrid.project.folder import ProjectFolder
from labelgrid.project.score_files import tables_of_scores
from labelgrid.select.classes import CLASSES


def share_classes(project: ProjectFolder) -> list[str]:
    """The classes whose shares the newest scores hold, as `TASK:CLASS`."""
    if _newest(project) is None:
        return []
    tasks = project.tasks().values()
    return [f"{task.name}:{name}" for task in tasks for name in task.class_names]


def class_shares(project: ProjectFolder, class_name: str) -> dict[str, float]:
    """The predicted share of a class by image, from 0 to 1; empty if no scores hold it.

    Args:
        project: the project.
        class_name: one of `share_classes`.
    """
    from labelgrid.score.table import read_component  # slow to load

    path = _newest(project)
    name, _, class_name = class_name.partition(":")
    number = project.tasks()[name].class_names.index(class_name)
    return read_component(path, CLASSES, name, number) if path else {}


def _newest(project: ProjectFolder) -> Path | None:
    """The newest table of scores that holds the shares of classes."""
    from labelgrid.score.table import holds_statistic  # slow to load

    tables = reversed(tables_of_scores(project))
    return next((path for path in tables if holds_statistic(path, CLASSES)), None)
