"""Laws of a closer look: what was asked when, how unsure the pool was then, and labels beside the predictions."""

import html
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.basics.files import write_text
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.project_view import (
    ScoredRound,
    data_hash,
    mean_normalised,
    request_history,
    round_picks,
    uncertainty_of,
)
from labelgrid.report.write_report import write_project_report
from labelgrid.score.table import Axis, Table
from labelgrid.score.table_files import write_table
from labelgrid.tasks.pictures import jpeg
from tests.campaigns import ask, cells_of, make_project
from tests.support import Made

TASKS = ("semseg", "depth")


ALL = np.ones((4, 2), bool)


@pytest.fixture
def data(made: Callable[..., Made]) -> Made:
    return made(n=4, tasks=TASKS, size=(16, 24))


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", data, {data.names[3]: "heldout"}) as project:
        yield project


#: As many features as tasks: no width says what an array is of.
AXES: dict[str, Axis] = {"dropout": "cell", "features": "feature"}


def scores(project: ProjectFolder, data: Made, number: int, values: list[list[float]]) -> None:
    table = Table(
        images=data.names[:3],
        statistics={"dropout": np.array(values), "features": np.ones((3, 2))},
        tasks=TASKS,
        stamp={},
        axes=AXES,
    )
    (project.round_folder(number) / "scores").mkdir(parents=True)
    write_table(table, project.round_folder(number) / "scores" / "scores.parquet")


def pick(project: ProjectFolder, cell: Cell) -> None:
    """The list of picks of round 1, and its picture of the image."""
    row = f'[{{"image": "{cell.image_id}", "task": "{cell.task}", "score": 0.5, "cost": 1.0, "why": "unsure"}}]'
    write_text(project.round_folder(1) / "picks.json", row)
    (project.round_folder(1) / "pictures").mkdir()
    (project.round_folder(1) / "pictures" / "000-image.jpg").write_bytes(b"image")


def test_cells_are_asked_for_in_the_round_that_asked_and_held_out_ones_are_none(
    project: ProjectFolder, data: Made
) -> None:
    assert request_history(project) is None
    cells = cells_of(data)
    ask(project, cells[:2], 1)
    ask(project, cells[2:4], 2)
    project.store.move(
        [
            Move(cell=cells[0], to=State.LABELLED, round=1),
            Move(cell=cells[1], to=State.SKIPPED, round=1),
        ]
    )
    project.store.move([Move(cell=cells[6], to=State.LABELLED)])
    found = request_history(project)
    assert found is not None and found.round.tolist() == [[1, 1], [2, 2], [-1, -1]]
    assert found.waiting.tolist() == [[False, False], [True, True], [False, False]]
    assert found.skipped.sum() == 1 and found.counts()["depth"]["skipped"] == 1


def test_the_uncertainty_is_of_cells_that_had_no_label_when_they_were_scored(
    project: ProjectFolder, data: Made
) -> None:
    cells = cells_of(data)
    ask(
        project, cells[:1], 1
    )  # asked for in round 1, so it was in the pool when round 1 was scored
    project.store.move([Move(cell=cells[0], to=State.LABELLED, round=1)])
    ask(project, cells[2:3], 2)
    scores(project, data, 1, [[0.0, 1.0], [2.0, 1.0], [4.0, 3.0]])
    scores(project, data, 2, [[9.0, 1.0], [1.0, 1.0], [2.0, 3.0]])
    found = uncertainty_of(project)
    assert list(found) == ["dropout"]  # a row of features is no uncertainty
    assert found["dropout"]["semseg"] == {1: 0.5, 2: 1.5 / 4}
    assert found["dropout"]["depth"] == pytest.approx({1: 1 / 3, 2: 1 / 3})


def test_a_project_without_scores_has_no_uncertainty(project: ProjectFolder, data: Made) -> None:
    ask(project, cells_of(data)[:1], 1)
    assert uncertainty_of(project) == {}


def test_without_their_reader_a_report_says_what_installs_it_and_has_the_rest(
    project: ProjectFolder, data: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(project, cells_of(data)[:1], 1)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    write_project_report(project, tmp_path / "none.html")
    assert "labelgrid[parquet]" not in (tmp_path / "none.html").read_text()
    (project.round_folder(1) / "scores").mkdir(parents=True)
    (project.round_folder(1) / "scores/scores.parquet").write_bytes(b"scored elsewhere")
    assert uncertainty_of(project) == {}
    write_project_report(project, tmp_path / "report.html")
    text = html.unescape((tmp_path / "report.html").read_text())
    assert "Scores were left out. This needs pyarrow" in text
    assert "Install it: pip install 'labelgrid[parquet]'." in text


def test_a_label_stands_beside_the_prediction_once_it_is_there(
    project: ProjectFolder, data: Made
) -> None:
    cell = Cell(data.names[0], "depth")
    ask(project, [cell], 1)
    pick(project, cell)
    assert set(round_picks(project, 1).first[0].pictures) == {"image"}
    import_labels(project, data.root / "labels")
    shown = round_picks(project, 1).first[0].pictures
    picture = cv2.imdecode(np.frombuffer(shown["label"], np.uint8), cv2.IMREAD_COLOR)
    assert list(shown) == ["image", "label"] and picture.shape == (16, 24, 3)
    (row,) = project.store.find([cell]).values()
    project.inside(row.path).unlink()
    assert set(round_picks(project, 1).first[0].pictures) == {
        "image"
    }  # a lost file costs the page its label alone
    assert round_picks(project, 0) is None and round_picks(project, 9) is None


@pytest.mark.parametrize(
    ("strategy", "score"),
    [("random_cells", None), ("partal", 0.5), ("of.another.module:Thing", 0.5)],
)
def test_random_picks_have_no_score(
    project: ProjectFolder, data: Made, strategy: str, score: float | None
) -> None:
    cell = Cell(data.names[0], "depth")
    row = replace(project.store.open_round(), strategy=strategy)
    project.store.close_round(row)
    pick(project, cell)
    assert round_picks(project, 1).first[0].pick.score == score


def test_the_data_hash_is_of_images_and_contents_and_of_no_label(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    before = data_hash(project)
    ask(project, cells_of(data)[:2], 1)
    assert data_hash(project) == before
    with make_project(tmp_path / "same", data, {data.names[3]: "heldout"}) as same:
        assert data_hash(same) == before
        row = next(iter(same.store.images()))
        same.store.update_images([replace(row, digest="other")])
        assert data_hash(same) != before
    with make_project(tmp_path / "split", data) as other:
        assert data_hash(other) != before


def test_pictures_are_small() -> None:
    big = cv2.imdecode(
        np.frombuffer(jpeg(np.zeros((500, 1000, 3), np.uint8)), np.uint8), cv2.IMREAD_COLOR
    )
    assert big.shape == (160, 320, 3)


def scored(number: int, column: list[float], missing: list[bool] | None = None) -> ScoredRound:
    left = np.stack([np.array(missing or [True] * 4), np.ones(4, bool)], 1)
    return ScoredRound(
        number, np.stack([np.array(column), np.array([1.0, 2.0, 3.0, np.nan])], 1), left
    )


def test_bounds_are_those_of_the_first_round_in_any_order() -> None:
    rounds = [scored(3, [0.0, 0.5, 1.0, 2.5]), scored(2, [1.0, 2.0, 3.0, 5.0])]
    found = mean_normalised(rounds, ["a", "b"])
    assert found["a"] == {
        2: pytest.approx((0 + 1 + 2 + 4) / 16),
        3: pytest.approx((-1 - 0.5 + 0 + 1.5) / 16),
    }


def test_cells_that_have_a_label_and_unknown_numbers_count_neither_in_the_bounds_nor_in_the_mean() -> (
    None
):
    found = mean_normalised(
        [scored(1, [9.0, 1.0, 2.0, 3.0], [False, True, True, True])], ["a", "b"]
    )
    assert found == {"a": {1: 0.5}, "b": {1: 0.5}}


def test_a_task_whose_numbers_are_all_one_or_that_has_none_is_no_fault() -> None:
    nothing = ScoredRound(1, np.full((4, 2), [2.0, np.nan]), ALL)
    assert mean_normalised([nothing], ["a", "b"]) == {"a": {1: 0.0}}
    assert mean_normalised([], ["a"]) == {}


def test_bounds_are_those_of_the_first_round_whose_numbers_differ() -> None:
    rounds = [
        scored(1, [2.0, 2.0, 2.0, 2.0]),
        scored(2, [2.0, 2.0, 2.0, 2.0 + 1e-9]),  # rounding
        scored(3, [1.0, 2.0, 3.0, 5.0]),
        scored(4, [0.0, 0.5, 1.0, 2.5]),
    ]
    found = mean_normalised(rounds, ["a", "b"])["a"]
    assert found == {1: 0.0, 2: 0.0, 3: pytest.approx(7 / 16), 4: pytest.approx(0.0)}
