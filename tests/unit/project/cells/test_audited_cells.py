"""The cells that queries drew to audit suppliers, and those of which they can be drawn."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.errors import LedgerError, ProjectError
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.operations.remove import remove
from labelgrid.operations.task_change import drop_task
from labelgrid.project.cells.audited_cells import (
    DRAWN_CELLS,
    cells_to_audit,
    note_audits,
    supplied_cells,
)
from labelgrid.project.folder import ProjectFolder
from labelgrid.select.draws import SuppliedCells
from tests.projects import make_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project of 4 training images, of which two suppliers gave the depth, one the normals."""
    made, data = make_project(tmp_path, n=6, tasks=("depth", "normals"))
    with made:
        import_supplied(made, data.labels, supplier="s", accept=True)
        shutil.rmtree(data.labels / "normals")
        import_supplied(made, data.labels, supplier="r", accept=True)
        yield made


def training(project: ProjectFolder) -> list[str]:
    return [row.image_id for row in project.store.images(("train",))]


def test_the_training_cells_of_each_supplier_are_listed(project: ProjectFolder) -> None:
    found = [(cells.supplier, cells.task) for cells in cells_to_audit(project)]
    assert found == [("r", "depth"), ("s", "depth"), ("s", "normals")]
    assert all(set(cells.images) == set(training(project)) for cells in cells_to_audit(project))
    assert not any(cells.earlier for cells in cells_to_audit(project))


def test_drawn_cells_are_kept_in_the_order_of_the_draw_and_once(project: ProjectFolder) -> None:
    first, second, third, _ = training(project)
    for images in ([third, first], [], [first, second]):
        note_audits(project, [SuppliedCells(supplier="s", task="depth", images=images)])
    earlier = {(cells.supplier, cells.task): cells.earlier for cells in supplied_cells(project)}
    assert earlier == {
        ("r", "depth"): [],
        ("s", "depth"): [third, first, second],
        ("s", "normals"): [],
    }


def test_removed_and_held_out_images_and_dropped_tasks_are_left_out(
    project: ProjectFolder,
) -> None:
    first, second, third, fourth = training(project)
    cells = [
        SuppliedCells(supplier="s", task=task, images=[first, second, third])
        for task in ("depth", "normals")
    ]
    note_audits(project, cells)
    remove(project, [second])
    project.store.update_images([replace(project.store.image(first), split="heldout")])
    drop_task(project, "normals")
    found = [cells for cells in supplied_cells(project) if cells.supplier == "s"]
    assert [(cells.task, set(cells.images), cells.earlier) for cells in found] == [
        ("depth", {third, fourth}, [third])
    ]


def test_without_a_draw_nothing_is_noted(project: ProjectFolder) -> None:
    note_audits(project, [])
    assert project.store.get(DRAWN_CELLS) is None


def test_without_a_supplier_it_is_said_how_to_import(tmp_path: Path) -> None:
    with make_project(tmp_path / "other", n=4)[0] as other:
        assert supplied_cells(other) == []
        with pytest.raises(ProjectError, match=r"nothing to audit(.|\n)*--supplier NAME"):
            cells_to_audit(other)


@pytest.mark.parametrize(
    "note", ["a.png", ["a.png"], {"s": ["a.png"]}, {"s": {"depth": "a"}}, {"s": {"depth": [1]}}]
)
def test_a_damaged_note_is_refused(project: ProjectFolder, note: Any) -> None:
    project.store.put(DRAWN_CELLS, note)
    with pytest.raises(LedgerError, match="'audits' has no lists of images"):
        supplied_cells(project)
