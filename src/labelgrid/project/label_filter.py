"""Finds images by what their labels are: by a class that they show, and among given labels.

Loads no torch.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from labelgrid.errors import UsageError
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.store import CellRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_classes import label_classes


@dataclass(frozen=True, kw_only=True)
class LabelFilter:
    """Which labels are looked for; those that match all of this.

    Args:
        shows: the task and the name of a class, as `TASK:CLASS`; empty: any.
        among: the paths of labels by their cells, such as those of suspects; None: all labels.
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


@dataclass(frozen=True)
class _Classes:
    """What is known of the labels of a task: those that show a class, and all that are known."""

    showing: Collection[str] = field(default_factory=set)
    known: Collection[str] = field(default_factory=set)


def find_images(project: ProjectFolder, wanted: ImageFilter, labels: LabelFilter) -> MatchingImages:
    """The images with a cell that matches both filters.

    Raises:
        UsageError: there is no such class.
        LedgerError: there is no such task.
    """
    if labels.is_empty:
        return MatchingImages(project.store.matching_names(wanted))
    task, classes = _classes(project, labels.shows)
    if task:
        if wanted.task not in ("", task):
            return MatchingImages([])
        wanted = replace(wanted, task=task)
    if labels.among is not None:
        rows = _rows_among(project, wanted, labels.among)
        found = [(row.cell.image_id, row.digest) for row in rows]
    else:
        found = project.store.matching_labels(wanted)
    if not task:
        return MatchingImages(sorted({image_id for image_id, _ in found}))
    names = [image_id for image_id, digest in found if digest in classes.showing]
    unread = sum(digest not in classes.known for _, digest in found)
    return MatchingImages(names, unread)


def _classes(project: ProjectFolder, shows: str) -> tuple[str, _Classes]:
    """The task of a class, and what its labels show; an empty name without a class.

    Raises:
        UsageError: there is no such class.
    """
    if not shows:
        return "", _Classes()
    name, _, class_name = shows.partition(":")
    task = project.tasks().get(name)
    if task is None or class_name not in task.class_names:
        raise UsageError(
            f"There is no class '{shows:.80}'.",
            next_step="Name one as TASK:CLASS, such as semseg:wall.",
        )
    labels = label_classes(project, task)
    return name, _Classes(labels.showing(class_name), labels.known())


def _rows_among(
    project: ProjectFolder, wanted: ImageFilter, among: Mapping[Cell, str]
) -> list[CellRow]:
    """The rows of those of these labels that are still there and match, ordered."""
    store = project.store
    rows = [row for row in store.find(among).values() if row.path and row.path == among[row.cell]]
    rows = [row for row in rows if _matches(row, wanted)]
    if wanted.splits is not None or wanted.name:
        images = ImageFilter(splits=wanted.splits, name=wanted.name)
        names = set(store.matching_names(images))
        rows = [row for row in rows if row.cell.image_id in names]
    return sorted(rows, key=lambda row: row.cell)


def _matches(row: CellRow, wanted: ImageFilter) -> bool:
    """Whether a label matches what is wanted of cells."""
    return (
        wanted.state in (None, State.LABELLED)
        and wanted.task in ("", row.cell.task)
        and wanted.round in (None, row.round)
        and wanted.annotator in ("", row.annotator)
    )
