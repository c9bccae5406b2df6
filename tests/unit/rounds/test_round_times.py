"""Laws of the time that a round takes: measured on the project, which stays as it is."""

from pathlib import Path

import pytest
import torch

from labelgrid.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import load_recipe
from labelgrid.rounds import round_times as module
from labelgrid.rounds.round_times import RecipeTime, round_times
from tests.e2e.commands import done, state
from tests.projects import TASKS, make_project


def timed(recipe: str, seconds: float) -> RecipeTime:
    return RecipeTime(
        recipe=recipe,
        size=(8, 8),
        steps=10,
        step_seconds=seconds / 10,
        image_seconds=0.0,
        seconds=seconds,
        memory=None,
    )


def test_a_project_without_a_label_says_what_a_round_of_its_recipe_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_shipped", lambda: [])  # those take seconds
    with make_project(tmp_path, n=6, holdout=2)[0] as project:
        before = state(tmp_path)
        times = round_times(project, Silent())
        assert state(tmp_path) == before
        (own,) = times.times
        recipe = load_recipe(project.settings.recipe)
    steps = recipe.train.length(4, 4 * len(TASKS), len(TASKS))
    assert (own.recipe, own.size, own.steps) == (
        str((tmp_path / "tiny.toml").absolute()),
        recipe.data.size,
        steps,
    )
    predicted = (2 + 4) * own.image_seconds
    assert own.seconds == pytest.approx(steps * own.step_seconds + predicted)
    assert own.step_seconds > 0 and own.image_seconds > 0 and times.fits == own.recipe
    shown = done("time", tmp_path / "flat").out
    assert f"Fits: {own.recipe}." in shown and "32x64" in shown


def test_the_largest_recipe_fits_whose_round_is_short_enough() -> None:
    times = [timed("quick", 60), timed("long", 800), timed("too-long", 1000)]
    assert module._fitting(times) == "long"
    assert module._fitting(times[2:]) == "too-long"


def test_shipped_recipes_of_studies_and_papers_are_not_timed(tmp_path: Path) -> None:
    names = module._shipped()
    assert {"small", "small-shared-heads", "gpu"} <= set(names)
    assert not {"demo", "nyud-small", "partal-nyud"} & set(names)
    for_gpu = [name for name in names if load_recipe(name).train.precision != module.ANY_MACHINE]
    assert for_gpu == ["gpu-convnext", "gpu"]


def test_recipes_for_a_gpu_are_not_timed_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(module, "_time", lambda name, context: timed(name, 1))
    make_project(tmp_path, n=3, holdout=1, tasks=("depth",))[0].close()
    with ProjectFolder.open(tmp_path / "flat") as project:
        times = round_times(project, Silent())
    assert list(times.for_gpu) == ["gpu-convnext", "gpu"]
    assert "small" in {each.recipe for each in times.times}
