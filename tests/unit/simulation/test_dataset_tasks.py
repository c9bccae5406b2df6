"""A study's tasks take what they do not say, such as classes, from the data set."""

from pathlib import Path

import pytest

from labelgrid.errors import ImageError, ProjectError, RecipeError
from labelgrid.simulation.dataset_tasks import completed
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.validate import validate_study
from tests.studies import make_data, make_recipe

SHORT = "semseg = {}\ndepth = {}\n"


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """A recipe that does not name its classes, of a data set that has no `tasks.toml`."""
    make_data(tmp_path / "data")
    path = make_recipe(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("semseg = {")] + SHORT)
    return str(path)


def request(recipe: str, folder: Path) -> StudyRequest:
    return StudyRequest.of(recipe, folder / "data", folder / "out")


def test_classes_come_from_the_data_set_and_its_file_of_names_and_the_recipe_has_the_last_word(
    recipe: str, tmp_path: Path
) -> None:
    (tmp_path / "data/names.txt").write_text("wall\nfloor\nbed\n")
    (tmp_path / "data/tasks.toml").write_text(
        'semseg = { classes = "names.txt", cost = 4 }\nparts = { kind = "semseg" }\n'
    )
    tasks = request(recipe, tmp_path).study.tasks
    assert tasks == {"semseg": {"classes": ["wall", "floor", "bed"], "cost": 4}, "depth": {}}
    assert request(recipe, tmp_path).to_json()["study"]["tasks"]["semseg"]["classes"] == ["wall", "floor", "bed"]
    Path(recipe).write_text(
        Path(recipe).read_text().replace("semseg = {}", 'semseg = { cost = 5, classes = ["a", "b"] }')
    )
    assert request(recipe, tmp_path).study.tasks["semseg"] == {"classes": ["a", "b"], "cost": 5}


def test_a_task_of_another_name_or_kind_takes_nothing() -> None:
    known = {"semseg": {"classes": ["wall", "floor"]}, "depth": {"scale": 0.1}}
    tasks = {"semseg": {"kind": "saliency"}, "far": {"kind": "depth"}}
    assert completed(tasks, known, Path()) == tasks


def test_faults_are_refused_before_anything_is_run(recipe: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"has 0 classes; it needs at least 2(.|\n)*or of tasks.toml"):
        validate_study(request(recipe, tmp_path))
    (tmp_path / "data/tasks.toml").write_text("semseg = {")
    with pytest.raises(RecipeError, match=r"tasks\.toml(.|\n)*Nothing was run"):
        request(recipe, tmp_path)
    (tmp_path / "data/tasks.toml").write_text('semseg = { classes = "names.txt" }')
    with pytest.raises(ProjectError, match=r"names\.txt(.|\n)*Nothing was run"):
        request(recipe, tmp_path)
    with pytest.raises(ImageError, match="Nothing was run"):
        StudyRequest.of(recipe, tmp_path / "nowhere", tmp_path / "out")
