"""Overrides that are kept: written to the settings, or refused and nothing is changed."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.api.project import Project
from labelgrid.basics.errors import RecipeError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.kept_changes import keep_changes
from labelgrid.project.settings import read_settings, text_with_values
from labelgrid.rounds.query import query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    made, _ = make_project(tmp_path, n=4, tasks=("depth",))
    with made:
        yield made


def test_overrides_are_written_and_count_from_now_on(project: ProjectFolder) -> None:
    keep_changes(project, {"train": {"steps": 120}})
    keep_changes(project, {"train": {"batch": 2}})
    written = read_settings(project.folder / SETTINGS)
    assert written == project.settings
    assert written.changes == {"train": {"steps": 120, "batch": 2}}


def test_a_length_replaces_one_in_another_unit(project: ProjectFolder) -> None:
    keep_changes(project, {"train": {"steps": 120}})
    keep_changes(project, {"train": {"epochs": 3}})
    assert project.settings.changes == {"train": {"steps": 0, "epochs": 3}}
    assert read_settings(project.folder / SETTINGS) == project.settings


@pytest.mark.parametrize(
    ("changes", "recipe", "error"),
    [
        ({}, "", UsageError),
        ({"train": {"steps": 9}}, "small", UsageError),
        ({"train": {"stepps": 9}}, "", RecipeError),
        ({"train": {"steps": "many"}}, "", RecipeError),
    ],
)
def test_what_cannot_be_kept_leaves_the_settings(
    project: ProjectFolder, changes: dict[str, object], recipe: str, error: type[Exception]
) -> None:
    file = project.folder / SETTINGS
    before = file.read_bytes()
    with pytest.raises(error):
        keep_changes(project, changes, recipe)
    assert file.read_bytes() == before and not project.settings.changes


def test_comments_and_other_lines_stay() -> None:
    text = (
        '# mine\nrecipe = "small"\n\n[changes.train]\nsteps = 400 # short\nbatch = 8\n\n'
        "[changes.data]\nsize = [64, 96]\n"
    )
    changed = text_with_values(
        text, "changes", {"train": {"steps": 120}, "network": {"name": "pad_net"}}
    )
    assert changed.startswith(text.replace("400", "120").rstrip("\n"))
    assert tomllib.loads(changed)["changes"] == {
        "train": {"steps": 120, "batch": 8},
        "data": {"size": [64, 96]},
        "network": {"name": "pad_net"},
    }


@pytest.mark.parametrize(
    "text", ['recipe = "small"\n', "changes = { train = { steps = 7 } }\n", "[changes]\n"]
)
def test_settings_get_changes_where_they_have_none_or_hold_them_otherwise(text: str) -> None:
    changed = text_with_values(text, "changes", {"train": {"steps": 9}})
    assert tomllib.loads(changed)["changes"] == {"train": {"steps": 9}}


def test_a_training_with_kept_overrides_is_one_of_the_settings(tmp_path: Path) -> None:
    made, data = make_project(tmp_path, n=4, tasks=("depth",), strategy="random_cells")
    with made as opened:
        query(opened, Budget(2), Silent(), prelabels=False)
        answer(opened, data)
    with Project.open(made.folder) as project:
        fit = project.fit(epochs=1, keep=True)
        assert fit.recipe["train"]["epochs"] == 1 and not fit.changes
        again = project.fit()  # nothing changed: it is not trained again
    assert again.model == fit.model and again.event == fit.event
    assert read_settings(made.folder / SETTINGS).changes["train"]["epochs"] == 1
