"""Finds images by their labels: by the classes shown, and among given labels.

Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.basics.errors import UsageError
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_classes import label_classes
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True, kw_only=True)
class LabelFilter:
    """A filter of labels; a label matches if all fields match.

    Args:
        shows: the task and the name of a class, as `TASK:CLASS`; empty: any.
        among: the paths of labels by cell, for example of suspects; None: all labels.
    """

    shows: str = ""
    among: Mapping[Cell, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all images match, also those without a label."""
        return not self.shows and self.among is None


@dataclass(frozen=True)
class MatchingImages:
    """The images that match.

    Args:
        names: their ids, ordered.
        unread: the number of labels whose classes are not known.
    """

    names: Sequence[str]
    unread: int = 0


def find_images(project: ProjectFolder, wanted: ImageFilter, labels: LabelFilter) -> MatchingImages:
    """The images with a cell that matches both filters.

    Raises:
        UsageError: there is no such class.
        LedgerError: there is no such task.
    """
    if labels.is_empty:
        return MatchingImages(project.store.matching_names(wanted))
    if not labels.shows:
        matches = _matching_labels(project, wanted, labels)
        return MatchingImages(list(dict.fromkeys(image_id for image_id, _ in matches)))
    task, class_name = _class_of(project, labels.shows)
    if wanted.task not in ("", task.name):
        return MatchingImages([])
    matches = _matching_labels(project, replace(wanted, task=task.name), labels)
    contents = [content for _, content in matches]
    shown, unread = label_classes(project, task).showing(class_name, contents)
    return MatchingImages([matches[place][0] for place in np.flatnonzero(shown).tolist()], unread)


def _class_of(project: ProjectFolder, shows: str) -> tuple[TaskDef, str]:
    name, _, class_name = shows.partition(":")
    task = project.tasks().get(name)
    if task is None or class_name not in task.class_names:
        raise UsageError(
            f"There is no class '{shows:.80}'.",
            next_step="Name one as TASK:CLASS, such as semseg:wall.",
        )
    return task, class_name


def _matching_labels(
    project: ProjectFolder, wanted: ImageFilter, labels: LabelFilter
) -> list[tuple[str, str]]:
    """The image ids, in order, and content hashes of the matching labels."""
    if labels.among is None:
        return project.store.matching_labels(wanted)
    paths = set(labels.among.values())
    image_ids = dict.fromkeys(cell.image_id for cell in labels.among)
    rows = project.store.labels_of_images(wanted, image_ids)
    matching = []
    for image_id, content, path in rows:
        if path in paths:
            matching.append((image_id, content))
    return matching
