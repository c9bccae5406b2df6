"""The classes that labels show are counted on training images alone, each label once."""

from pathlib import Path

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.project import shown_classes as counted
from labelgrid.project.shown_classes import shown_classes
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.rounds.query import query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project


def test_labels_of_training_images_are_counted_and_damaged_ones_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, data = make_project(tmp_path, n=8, holdout=2, strategy="random_cells", tasks=("semseg",))
    with made as project:
        query(project, Budget(4), Silent(), prelabels=False)
        answer(project, data)
        task = project.tasks()["semseg"]
        rows = list(project.store.cells(state=State.LABELLED, splits=("train",)))
        expected = dict.fromkeys(task.class_names, 0)
        for row in rows:
            label = read_stored_label(project, row, task)
            for index in set(label.value[label.valid].ravel().tolist()):
                expected[task.class_names[index]] += 1
        shown = shown_classes(project, task)
        assert (shown.labels, shown.counts) == (4, expected)
        monkeypatch.setattr(counted, "MOST", 3)
        assert shown_classes(project, task).labels == 3
        monkeypatch.undo()
        project.inside(rows[0].path).write_bytes(b"")
        assert shown_classes(project, task).labels == 3
