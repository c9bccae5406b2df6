"""Labels that follow from others, as a status counts them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.export import export
from labelgrid.operations.status import status_of
from labelgrid.project.derived_labels import DerivedCount, brought_labels, derived_counts
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import settings_text
from tests.campaigns import make_project
from tests.support import Made, make_dataset

TASKS = ("depth", "normals")
ON = {"relations": {"depth_normals": {"trust": 0.9}}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_dataset(tmp_path_factory.mktemp("made"), 4, tasks=TASKS)


def changed(project: ProjectFolder, changes: dict[str, object]) -> ProjectFolder:
    text = settings_text(replace(project.settings, changes=changes))
    (project.folder / "labelgrid.toml").write_text(text)
    return ProjectFolder.open(project.folder)


def label(project: ProjectFolder, image_id: str, *tasks: str) -> None:
    moves = [
        Move(cell=Cell(image_id, task), to=State.LABELLED, path=f"labels/{task}", cost=1.0)
        for task in tasks
    ]
    project.store.move(moves)


def test_missing_labels_of_training_images_that_follow_are_counted_and_no_others(
    data: Made, tmp_path: Path
) -> None:
    with make_project(tmp_path / "flat", data, {data.names[0]: "heldout"}) as plain:
        held, first, second, *_ = data.names
        label(plain, held, "depth")
        label(plain, first, "depth")
        label(plain, second, "depth", "normals")
        assert derived_counts(plain) == {}
        assert "derived" not in status_of(plain)["tasks"]["normals"]
    with changed(plain, ON) as project:
        assert derived_counts(project) == {"normals": DerivedCount(1, 1.0)}
        status = status_of(project)
        normals = status["tasks"]["normals"]
        assert (normals["derived"], normals["saved"], normals["labelled"]) == (1, 1.0, 1)
        assert "derived" not in status["tasks"]["depth"]


def test_a_wrong_relation_is_refused(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "flat", data) as plain:
        pass
    wrong = {"relations": {"depth_normals": {"trust": 2}}}
    with changed(plain, wrong) as project, pytest.raises(RecipeError, match="between 0 and 1"):
        project.relations()


def test_a_request_says_what_its_label_brings_along(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "flat", data) as plain:
        first, second, third, fourth = data.names
        label(plain, second, "normals")
        moves = [
            Move(cell=Cell(image_id, task), to=State.REQUESTED, request_id=f"{image_id}-{task}")
            for image_id, task in (
                (first, "depth"),
                (second, "depth"),
                (third, "depth"),
                (third, "normals"),
                (fourth, "normals"),
            )
        ]
        plain.store.move(moves)
        assert brought_labels(plain, [move.cell for move in moves]) == {}
    with changed(plain, ON) as project:
        cells = [move.cell for move in moves]
        assert brought_labels(project, cells) == {Cell(first, "depth"): ("normals",)}
        export(project, tmp_path / "out")
    rows = json.loads((tmp_path / "out/manifest.json").read_text())
    brings = {(row["image"], row["task"]): row.get("brings") for row in rows}
    assert brings[first, "depth"] == ["normals"]
    assert [cell for cell, brought in brings.items() if brought] == [(first, "depth")]
    assert "brings" in (tmp_path / "out/manifest.csv").read_text().splitlines()[0]
