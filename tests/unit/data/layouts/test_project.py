"""Laws of a project as a data set."""

import os
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelError, LedgerError, ProjectError
from labelgrid.data import project_source
from labelgrid.data.dataset import DescribedDataset, ListedDataset
from labelgrid.data.layouts.project import build
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Oracle
from labelgrid.project.sources import dataset_of
from labelgrid.project.task_spec import task_rows_of
from tests.e2e.commands import state
from tests.layouts.project import lay_out
from tests.support import Made, make_dataset

COVERS = ["labelgrid.data.project_source"]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A data set, and the project of it in the folder `flat` without a depth label."""
    made = make_dataset(tmp_path / "made", n=4, size=(16, 24), tasks=("semseg", "depth"))
    lay_out(made, tmp_path / "flat", made.label(made.names[1], "depth"))
    return made


def test_it_has_the_labelled_cells_the_splits_and_the_tasks_of_the_project(
    made: Made, tmp_path: Path
) -> None:
    dataset = build(tmp_path / "flat")
    assert isinstance(dataset, ListedDataset) and isinstance(dataset, DescribedDataset)
    cells = {Cell(name, task) for name in made.names for task in ("semseg", "depth")}
    assert set(dataset.labelled()) == cells - {Cell(made.names[1], "depth")}
    with ProjectFolder.open(tmp_path / "flat") as project:
        held = [row.image_id for row in project.store.images(("heldout",))]
        assert tuple(task_rows_of(dataset.tasks(), Path())) == project.store.tasks()
    assert dataset.splits()["heldout"] == held and len(dataset.splits()["train"]) == 3


def test_images_without_a_label_are_left_out(made: Made, tmp_path: Path) -> None:
    with ProjectFolder.open(tmp_path / "flat") as project:
        row = next(iter(project.store.images(("train",))))
        rows = project.store.cells(image_id=row.image_id)
        moves = [Move(cell=row.cell, to=State.MISSING) for row in rows]
        with project.store.transaction("undo"):
            project.store.move(moves)
    dataset = build(tmp_path / "flat")
    assert row.image_id not in {*dataset.images(), *dataset.splits()["train"]}


def test_reading_changes_nothing_in_the_project(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    before = state(folder)
    dataset = build(folder)
    with ProjectFolder.open(folder) as project:
        tasks = project.tasks()
    for cell in dataset.labelled():
        assert dataset.label(cell.image_id, tasks[cell.task]) is not None
    assert state(folder) == before


def test_a_label_whose_file_has_changed_is_refused(made: Made, tmp_path: Path) -> None:
    dataset = build(tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as project:
        tasks = project.tasks()
    cell = next(iter(dataset.labelled()))
    dataset.labels[cell].path.write_bytes(made.label(made.names[-1], cell.task).read_bytes())
    with pytest.raises(LabelError, match="changed"):
        dataset.label(cell.image_id, tasks[cell.task])


def test_a_label_is_hashed_again_only_after_its_file_was_written_to(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    check = project_source.check_digest

    def noted(path: Path, digest: str) -> None:
        hashed.append(path)
        check(path, digest)

    monkeypatch.setattr(project_source, "check_digest", noted)
    dataset = build(tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as project:
        tasks = project.tasks()
    cell = next(iter(dataset.labelled()))
    path = dataset.labels[cell].path
    for _ in range(3):  # epochs
        assert dataset.label(cell.image_id, tasks[cell.task]) is not None
    assert hashed == [path]
    written = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes(20))  # as long, and as old
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(LabelError, match="changed"):
            dataset.label(cell.image_id, tasks[cell.task])
    path.write_bytes(content)
    assert dataset.label(cell.image_id, tasks[cell.task]) is not None


def test_a_run_of_a_study_has_no_labels_of_its_own(made: Made, tmp_path: Path) -> None:
    with ProjectFolder.open(tmp_path / "flat") as project:
        row = next(iter(project.store.cells(state=State.LABELLED)))
        steps = [Move(cell=row.cell, to=to) for to in (State.MISSING, State.LABELLED)]
        with project.store.transaction("import"):
            project.store.move(steps)
    with pytest.raises(ProjectError, match="run of a study"):
        build(tmp_path / "flat")


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger"):
        dataset_of(Oracle("project", str(tmp_path)))
