"""Laws of the time that a round takes: measured on the project, which stays as it is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labelgrid.advice import round_times as module
from labelgrid.advice.round_times import RecipeTime, RoundTimes, round_times
from labelgrid.basics.progress import Progress, Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import load_recipe
from labelgrid.train.trainer import Trainer
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
        terms=(),
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


@pytest.mark.parametrize("tasks", [TASKS, ("depth",)])
def test_the_terms_of_a_recipe_are_in_its_step_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: tuple[str, ...]
) -> None:
    monkeypatch.setattr(module, "_shipped", lambda: [])
    losses: dict[str, float] = {}
    run_epoch = Trainer.run_epoch

    def noted(trainer: Trainer, progress: Progress) -> dict[str, Any]:
        record = run_epoch(trainer, progress)
        losses.update(record.get("terms", {}))
        return record

    monkeypatch.setattr(Trainer, "run_epoch", noted)
    with make_project(tmp_path, n=6, holdout=1, tasks=tasks)[0] as project:
        recipe = Path(project.settings.recipe)
        text = "\n[terms.crop]\n[terms.mean_teacher]\n[terms.pseudo_labels]\nconfidence = 0\n"
        recipe.write_text(recipe.read_text() + text)
        before = state(tmp_path)
        (own,) = round_times(project, Silent()).times
        assert state(tmp_path) == before
    assert own.terms == ("crop", "mean_teacher", "pseudo_labels")
    for name in own.terms:  # none stands idle
        assert any(value for key, value in losses.items() if key.startswith(name)), losses
    shown = " ".join(done("time", tmp_path / "flat").out.split())
    assert "Included are the terms of the recipe" in shown
    assert "crop, mean_teacher, pseudo_labels" in shown


def test_a_recipe_without_terms_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_shipped", lambda: [])
    make_project(tmp_path, n=3, holdout=1, tasks=("depth",))[0].close()
    assert "terms of" not in done("time", tmp_path / "flat").out
    values = json.loads(done("time", tmp_path / "flat", "--json").out)
    assert values["times"][0]["terms"] == []


def test_the_largest_recipe_fits_whose_round_is_short_enough() -> None:
    times = [timed("quick", 60), timed("long", 800), timed("too-long", 1000)]
    assert module._fitting(times) == "long"
    assert module._fitting(times[2:]) == "too-long"


def test_a_round_that_is_too_long_is_not_said_to_fit() -> None:
    fast = replace(timed("fast", 1620.0), steps=1000, step_seconds=1.6, image_seconds=0.1)
    times = RoundTimes(times=[fast, timed("slow", 7200.0)], fits="fast", for_gpu=())
    assert times.sentence(Path("room")) == (
        "Fits: none in 15 min; fast is the fastest, with 27 min. With fewer steps it fits: "
        "labelgrid fit room --set train.steps=550 --keep"
    )
    short = RoundTimes(times=[timed("fast", 60.0)], fits="fast", for_gpu=())
    assert short.sentence(Path("room")) == "Fits: fast."
    hopeless = replace(fast, seconds=7200.0, image_seconds=50.0)
    none = RoundTimes(times=[hopeless], fits="fast", for_gpu=())
    assert (
        none.sentence(Path("room")) == "Fits: none in 15 min; fast is the fastest, with 2 h 0 min."
    )


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


def test_a_recipe_with_a_frozen_encoder_fits_only_in_a_project_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_time", lambda name, _: timed(name, 800 if name == "few" else 9))
    make_project(tmp_path, n=3, holdout=1, tasks=("depth",))[0].close()
    with ProjectFolder.open(tmp_path / "flat") as project:
        assert round_times(project, Silent()).fits == "small-shared-heads"
    (tmp_path / "flat/labelgrid.toml").write_text('recipe = "few"\n')
    with ProjectFolder.open(tmp_path / "flat") as project:
        assert round_times(project, Silent()).fits == "few"


def test_steps_of_a_frozen_encoder_are_timed_once_its_maps_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_shipped", lambda: [])
    maps_by_step = []
    run_epoch = Trainer.run_epoch

    def spied(trainer: Trainer, progress: Progress) -> dict[str, float]:
        calls = []
        given = trainer.network.encoder.given
        hook = given.register_forward_hook(lambda *_: calls.append("made"))
        row = run_epoch(trainer, progress)
        hook.remove()
        maps_by_step.append(len(calls))
        return row

    monkeypatch.setattr(Trainer, "run_epoch", spied)
    with make_project(tmp_path, n=6, holdout=2)[0] as project:
        changes = {"backbone": {"train": "frozen"}, "data": {"kept_views": 2}}
        project.settings = replace(project.settings, changes=changes)
        (own,) = round_times(project, Silent()).times
    assert maps_by_step[0] and not any(maps_by_step[-module.STEPS :])
    predicted = (2 + 4) * own.image_seconds
    assert own.seconds == pytest.approx(own.steps * own.step_seconds + predicted)
    assert own.maps_seconds > 0
    with (tmp_path / "flat/labelgrid.toml").open("a") as file:
        file.write('\n[changes.backbone]\ntrain = "frozen"\n[changes.data]\nkept_views = 2\n')
    assert "Once, the maps of" in done("time", tmp_path / "flat").out
