"""Labels that measure something are drawn without a prediction on screen, here and in other tools."""

import json

import pytest

from labelgrid import Project
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell
from labelgrid.project.cells.audited_cells import note_audits
from labelgrid.project.cells.drawn_pairs import note_pairs
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.rounds import fit, query
from labelgrid.select.draws import SuppliedCells
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a network, whose last query drew a control beside its picks; all have predictions."""
    made, data = make_project(tmp_path_factory.mktemp("measuring"), n=12, strategy="random_cells")
    with made:
        query.query(made, Budget(3, "images"), Silent(), strategy="random_images")
        answer(made, data)
        fit.fit(made, Silent())
        query.query(made, Budget(8), Silent(), control="50%")
        yield made


def requested(project, control):
    rows = Project(project).cells(state="requested", split="train")
    found = [Cell(row["image"], row["task"]) for row in rows]
    return [
        cell for cell in found if ("control" in MeasuringCells(project).purpose(cell)) == control
    ]


def test_a_control_measures_and_a_pick_does_not(project):
    assert len(requested(project, control=True)) == 4 == len(requested(project, control=False))
    assert not any(map(MeasuringCells(project).purpose, requested(project, control=False)))


def test_held_out_images_pairs_and_audits_measure(project):
    heldout = next(row["image"] for row in Project(project).cells(split="heldout"))
    assert MeasuringCells(project).purpose(Cell(heldout, "depth")) == "its image is held out"
    first, second, third, fourth = requested(project, control=False)
    note_pairs(project, [first.image_id], [first.task])
    cells = SuppliedCells(supplier="cheap", task=second.task, images=[second.image_id])
    note_audits(project, [cells])
    measuring = MeasuringCells(project)
    assert "pair" in measuring.purpose(first) and "audits a supplier" in measuring.purpose(second)
    others = [Cell(cell.image_id, task) for cell in (third, fourth) for task in ("depth", "semseg")]
    assert not [cell for cell in others if "pair" in measuring.purpose(cell)]


def test_requests_that_measure_are_exported_without_the_prediction_that_others_have(
    project, tmp_path
):
    measuring = MeasuringCells(project)
    silent = {cell for cell in requested(project, control=True) if measuring.purpose(cell)}
    asked = {Cell(row["image"], row["task"]) for row in Project(project).cells(state="requested")}
    done = Project(project).export(tmp_path / "out")
    wanted = {cell for cell in asked if not measuring.purpose(cell)}
    rows = json.loads((tmp_path / "out/manifest.json").read_text())
    assert len(rows) == len(asked) and done.prelabels == len(wanted) and silent
    written = {path.stem for path in (tmp_path / "out/prelabels").rglob("*.png")}
    assert written == {cell.image_id.rpartition(".")[0].rpartition("/")[2] for cell in wanted}
