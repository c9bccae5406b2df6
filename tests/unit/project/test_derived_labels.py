"""Labels that follow from others, as a status counts them."""

from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.errors import RecipeError
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.derived_labels import DerivedCount, derived_counts, relations_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.status import status_of
from tests.campaigns import make_project
from tests.support import Made, make_dataset

TASKS = ("depth", "normals")
ON = {"relations": {"depth_normals": {"trust": 0.9}}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_dataset(tmp_path_factory.mktemp("made"), 4, tasks=TASKS)


def changed(project: ProjectFolder, changes: dict[str, object]) -> ProjectFolder:
    return replace(project, settings=replace(project.settings, changes=changes))


def label(project: ProjectFolder, image_id: str, *tasks: str) -> None:
    moves = [
        Move(cell=Cell(image_id, task), to=State.LABELLED, path=f"labels/{task}", cost=1.0)
        for task in tasks
    ]
    project.store.move(moves)


def test_missing_labels_of_training_images_that_follow_are_counted_and_no_others(
    data: Made, tmp_path: Path
) -> None:
    splits = {data.names[0]: "heldout"}
    with make_project(tmp_path / "flat", data, splits) as plain:
        project = changed(plain, ON)
        held, first, second, *_ = data.names
        label(project, held, "depth")
        label(project, first, "depth")
        label(project, second, "depth", "normals")
        assert derived_counts(project) == {"normals": DerivedCount(1, 1.0)}
        status = status_of(project)
        assert status["tasks"]["normals"]["derived"] == {"labels": 1, "saved": 1.0}
        assert status["tasks"]["normals"]["labelled"] == 1
        assert "derived" not in status["tasks"]["depth"]
        assert "derived" not in status_of(plain)["tasks"]["normals"]


def test_a_wrong_relation_is_refused(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "flat", data) as plain:
        project = changed(plain, {"relations": {"depth_normals": {"trust": 2}}})
        with pytest.raises(RecipeError, match="trust lies between 0 and 1"):
            relations_of(project)
