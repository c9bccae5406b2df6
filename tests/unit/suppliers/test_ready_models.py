"""Laws of models that lie ready: `init` and `advise` name those that fit a task and gave no labels yet."""

from pathlib import Path

import pytest

from labelgrid.advice.advise import advise
from labelgrid.api.project import Project
from labelgrid.project.folder import ProjectFolder
from labelgrid.suppliers.ready_models import VARIABLE, ready_models
from tests.commands import run
from tests.models import depth_model, description, grade_model, write_toml
from tests.projects import Said, make_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a model of depth beside it, one that fits no task, and a TOML of another sort."""
    project, _ = make_project(tmp_path, n=4)
    project.close()
    depth_model(tmp_path / "models")
    grade_model(tmp_path / "models", "edges")
    write_toml(tmp_path / "models/other.toml", {"a": 1})
    write_toml(tmp_path / "models/gone.toml", description("gone.onnx", "depth"))
    return tmp_path / "flat"


def names(folder: Path) -> list[str]:
    with ProjectFolder.open(folder) as project:
        return [model.path.name for model in ready_models(project)]


def test_those_that_fit_a_task_are_found_until_they_have_given_labels(folder: Path) -> None:
    assert names(folder) == ["depth.toml"]
    with Project.open(folder, progress=Said()) as project:
        project.supply("made", folder.parent / "models/depth.toml", limit=1)
    assert names(folder) == []


def test_a_folder_in_the_project_and_one_that_a_variable_names(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").rename(folder / "models")
    assert names(folder) == ["depth.toml"]
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert names(folder) == []
    monkeypatch.setenv(VARIABLE, str(folder / "models"))
    assert names(folder) == ["depth.toml"]


def test_init_and_advise_say_the_command_and_what_ten_audits_cost(
    folder: Path, tmp_path: Path
) -> None:
    images = tmp_path / "made/images"
    said = run("init", tmp_path / "new", "--images", images, "--task", "depth:cost=3")
    expected = f"labelgrid supply {tmp_path}/new depth --model {tmp_path}/models/depth.toml"
    assert expected in said and "cost 30." in said
    with ProjectFolder.open(folder) as project:
        (row,) = [row for row in advise(project).advice if "lies ready" in row.text]
        assert row.price == 10 * project.tasks()["depth"].cost and row.task == "depth"
