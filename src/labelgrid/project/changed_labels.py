"""Counts the labels of a training that changed after the training. Loads no torch."""

from collections.abc import Iterable

from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit


def changed_labels(project: ProjectFolder, fit: Fit) -> int:
    """The number of training labels that were replaced or withdrawn since a training.

    A label that was replaced and is back does not count. For records of older versions, 0.
    """
    if fit.event is None:
        return 0
    events = project.store.events(after=fit.event)
    touched = set()
    for event in events:
        if event.before == State.LABELLED:
            touched.add(event.move.cell)
    if not touched:
        return 0
    names = {cell.image_id for cell in touched}
    learned = {row.image_id for row in project.store.images(("train", "val"), names)}
    cells = [cell for cell in touched if cell.image_id in learned]
    return _count_changed(project, cells, fit.event)


def unseen_labels(project: ProjectFolder, fit: Fit) -> int:
    """The number of labels for training that came after a training.

    Records of before say nothing: 0.
    """
    if fit.event is None:
        return 0
    then: dict[Cell, State] = {}
    for event in project.store.events(after=fit.event):
        then.setdefault(event.move.cell, event.before)
    came = [cell for cell, state in then.items() if state != State.LABELLED]
    if not came:
        return 0
    names = {cell.image_id for cell in came}
    learned = {row.image_id for row in project.store.images(("train",), names)}
    rows = project.store.find([cell for cell in came if cell.image_id in learned])
    return sum(row.state == State.LABELLED for row in rows.values())


def _count_changed(project: ProjectFolder, cells: Iterable[Cell], event: int) -> int:
    """The number of cells whose label changed since an event."""
    count = 0
    rows = project.store.find(list(cells))
    for cell, row in rows.items():
        then = ""
        for earlier in project.store.history(cell):
            if earlier.id <= event:
                then = earlier.move.digest if earlier.move.to == State.LABELLED else ""
        now = row.digest if row.state == State.LABELLED else ""
        count += bool(then) and now != then
    return count


def changed_text(project: ProjectFolder, fit: Fit) -> str:
    """The sentence that labels changed since a training; "" if no label did."""
    count = changed_labels(project, fit)
    if not count:
        return ""
    labels = count_text(count, "label has", "labels have")
    them = "it" if count == 1 else "them"
    return f"{labels} changed since round {fit.round} was trained on {them}."


def unseen_text(project: ProjectFolder, fit: Fit) -> str:
    """The sentence that labels came after a training; "" if no label did."""
    count = unseen_labels(project, fit)
    if not count:
        return ""
    return f"{count_text(count, 'label')} came after round {fit.round} was trained."
