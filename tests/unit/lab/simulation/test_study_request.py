"""A study's tasks take class names that they lack from the data set."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError, LabelgridError, ProjectError
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.validate import validate_study
from tests.studies import make_data, make_recipe, shipped_studies

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


def test_classes_come_from_the_data_set_and_its_file_of_names(recipe: str, tmp_path: Path) -> None:
    (tmp_path / "data/names.txt").write_text("wall\nfloor\nbed\n")
    (tmp_path / "data/tasks.toml").write_text(
        'semseg = { classes = "names.txt", cost = 4, merge = { bed = "wall" } }\ndepth = { cost = 7 }\n'
    )
    tasks = request(recipe, tmp_path).study.tasks
    assert tasks == {"semseg": {"classes": ["wall", "floor", "bed"]}, "depth": {}}
    assert request(recipe, tmp_path).to_json()["study"]["tasks"]["semseg"]["classes"] == [
        "wall",
        "floor",
        "bed",
    ]


@pytest.mark.parametrize("own", ['cost = 5, classes = ["a", "b"]', 'kind = "saliency"'])
@pytest.mark.parametrize(
    "table",
    [
        '{ classes = "none.txt" }',
        '{ classes = ["x", "y"], merge = { y = "x" } }',
        "{ cost = 4 }",
        "3",
    ],
)
def test_a_task_with_classes_of_its_own_or_of_another_kind_takes_nothing(
    recipe: str, tmp_path: Path, own: str, table: str
) -> None:
    (tmp_path / "data/tasks.toml").write_text(f"semseg = {table}\n")
    Path(recipe).write_text(
        Path(recipe).read_text().replace("semseg = {}", f"semseg = {{ {own} }}")
    )
    request_of = request(recipe, tmp_path)
    assert request_of.study == study_of(recipe)
    assert [row.name for row in request_of.study.rows()] == ["semseg", "depth"]


def test_faults_are_refused_before_anything_is_run(recipe: str, tmp_path: Path) -> None:
    tables = tmp_path / "data/tasks.toml"
    with pytest.raises(
        ProjectError, match=r"has 0 classes; it needs at least 2(.|\n)*or of tasks.toml"
    ):
        validate_study(request(recipe, tmp_path))
    for text, fault in (
        ("semseg = {", r"tasks\.toml"),
        ('semseg = { classes = "names.txt" }', r"names\.txt"),
        ("semseg = { classes = 3 }", r"the data set's own tasks, .*data"),
    ):
        tables.write_text(text)
        with pytest.raises(LabelgridError, match=rf"{fault}(.|\n)*Nothing was run"):
            request(recipe, tmp_path)
    with pytest.raises(ImageError, match="Nothing was run"):
        StudyRequest.of(recipe, tmp_path / "nowhere", tmp_path / "out")


def test_every_shipped_study_gets_the_classes_of_its_data_set() -> None:
    seen = set()
    for _, study in shipped_studies():
        assert [row.name for row in study.rows()] == list(study.used_tasks)
        seen.add(study.data)
    assert seen == {"nyud", "pascal", "cityscapes", "mtan_npy", "folder"}
