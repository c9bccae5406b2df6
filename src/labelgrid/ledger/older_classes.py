"""Finds labels older than a class of the task, which tell nothing of the class.

Loads no torch.
"""

from collections.abc import Iterable

from labelgrid.ledger.store import CellRow, Store

#: The ledger's note of the number of classes that all labels of a task show, by task.
_NOTE = "complete_classes"


def complete_classes(store: Store) -> dict[str, int]:
    """The number of classes that all labels of a task show, by task, where declared."""
    return store.get(_NOTE, {})


def declare_complete(store: Store, task: str, classes: int) -> None:
    """Note that all present labels of a task show the first `classes` classes."""
    store.put(_NOTE, {**complete_classes(store), task: classes})


def older_labels(store: Store, task: str, rows: Iterable[CellRow], classes: int) -> int:
    """How many labels were made when a task had fewer classes, and are not declared complete."""
    least = complete_classes(store).get(task, 0)
    return sum(max(len(row.classes), least) < classes for row in rows if row.classes)
