"""What the model was unsure of: the picture of a round's first picks, and the numbers of the scores."""

from dataclasses import replace

import pytest

from labelgrid import Project
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.project.records import read_picks
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from tests.rounds import QUICK, labelled


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    project, _ = labelled(tmp_path_factory.mktemp("unsure"), n=8)
    project.settings = replace(project.settings, changes=QUICK)
    with project:
        fit.fit(project, Silent())
        query.query(project, Budget(2), Silent())
        return project.folder


def test_a_picked_cell_has_a_map_and_numbers(folder):
    picks = read_picks(folder / "rounds" / "0002")
    with Project.open(folder) as project:
        for pick in picks:
            path = project.cell(pick.cell).uncertainty_map()
            assert path.read_bytes().startswith(b"\xff\xd8")
            values = project.cell(pick.cell).statistics()
            assert values and all(isinstance(value, float) for value in values.values())


def test_the_map_stays_with_a_cell_whose_request_was_cancelled(folder):
    cell = read_picks(folder / "rounds" / "0002")[0].cell
    with Project.open(folder) as project:
        project.cancel([f"{cell.image_id}:{cell.task}"])
        assert project.cell(cell).uncertainty_map()


def test_a_cell_that_nobody_scored_has_none(folder):
    with Project.open(folder) as project:
        row = next(row for row in project.cells() if row["split"] == "heldout")
        cell = f"{row['image']}:{row['task']}"
        assert (
            project.cell(cell).uncertainty_map() is None and project.cell(cell).statistics() == {}
        )


def test_a_damaged_table_is_said(folder):
    path = folder / "rounds" / "0002" / "scores" / "scores.parquet"
    kept = path.read_bytes()
    path.write_bytes(kept[:100])
    pick = read_picks(folder / "rounds" / "0002")[0]
    try:
        with Project.open(folder) as project, pytest.raises(ProjectError, match="cannot be read"):
            project.cell(pick.cell).statistics()
    finally:
        path.write_bytes(kept)
