"""Counts the labels that a training learned from and that changed since. Loads no torch."""

from collections.abc import Iterable

from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit


def changed_labels(project: ProjectFolder, fit: Fit) -> int:
    """The training labels that were replaced or withdrawn since a training read them.

    A label that was replaced and is back does not count. Records of before say nothing: 0.

    Args:
        project: the project.
        fit: the record of the training.
    """
    if fit.event is None:
        return 0
    touched = set()
    for event in project.store.events(after=fit.event):
        if event.before == State.LABELLED:
            touched.add(event.move.cell)
    if not touched:
        return 0
    names = {cell.image_id for cell in touched}
    learned = {row.image_id for row in project.store.images(("train", "val"), names)}
    return _count_changed(
        project, [cell for cell in touched if cell.image_id in learned], fit.event
    )


def _count_changed(project: ProjectFolder, cells: Iterable[Cell], event: int) -> int:
    """The cells whose label is other than at this event."""
    count = 0
    rows = project.store.find(list(cells))
    for cell, row in rows.items():
        then = ""
        for each in project.store.history(cell):
            if each.id <= event:
                then = each.move.digest if each.move.to == State.LABELLED else ""
        now = row.digest if row.state == State.LABELLED else ""
        count += bool(then) and now != then
    return count


def changed_text(project: ProjectFolder, fit: Fit) -> str:
    """That labels changed since a training, in words; "" if none did."""
    count = changed_labels(project, fit)
    if not count:
        return ""
    labels = count_text(count, "label has", "labels have")
    them = "it" if count == 1 else "them"
    return f"{labels} changed since round {fit.round} was trained on {them}."
