"""Learning loss in whole rounds: its module is restored with the model, and one arm of a study trains it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.project.records import newest_fit
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import fit, models, pool_scorer, query
from labelgrid.score.pool import pool_batches
from labelgrid.score.statistics.learning_loss import PredictedLoss
from labelgrid.score.table_files import read_table
from labelgrid.select.strategy import Budget
from labelgrid.train.seeding import seed_torch
from labelgrid.train.terms.learning_loss import LearningLoss, Options
from tests.projects import answer, make_project
from tests.rounds import whole_round
from tests.stopping import killed_scoring
from tests.studies import make_data, make_recipe

#: One arm whose trainings have the term, beside one whose trainings do not.
ARMS = """
[simulate.arms.lloss]
strategy = "learning_loss"
changes = { terms = { learning_loss = { predict = "image", width = 16 } } }

[simulate.arms.images]
strategy = "random_images"
"""


@pytest.mark.parametrize("predict", ["tasks", "image"])
def test_the_trained_module_is_restored_with_the_model_of_a_killed_training(tmp_path, predict):
    project, _ = whole_round(
        tmp_path, {"train": {"epochs": 3}, "terms": {"learning_loss": {"predict": predict}}}
    )
    with project:
        context, model = models.restore(project, newest_fit(project.folder))
        module = model.terms["learning_loss"]
        output = model.network(torch.zeros(2, 3, 32, 64))
        assert (
            module.predict(output.features, lambda: output.task_features).shape == (2, 3)
            and not module.training
        )
        with seed_torch(context.seed, "init", "term", "learning_loss"):
            drawn = LearningLoss(context.tasks, model.network, Options(predict=predict))
        assert any(
            not torch.equal(a, b)
            for a, b in zip(module.parameters(), drawn.parameters(), strict=True)
        )


def test_a_round_asks_for_the_images_that_the_trained_modules_expect_most_of(tmp_path, monkeypatch):
    project, made = make_project(tmp_path, strategy="learning_loss")
    with project:
        query.query(project, Budget(9), Silent())
        answer(project, made)
        with pytest.raises(
            ProjectError,
            match=r"'learning_loss', which reads the term 'learning_loss'; the recipe trains",
        ):
            fit.fit(project, Silent())
        assert not (project.round_folder(2) / "fit").exists()
        chosen, project.settings = (
            project.settings,
            replace(project.settings, strategy=PluginChoice("random_images")),
        )
        fit.fit(project, Silent())
        project.settings = chosen
        with pytest.raises(
            ProjectError,
            match=r"reads the term 'learning_loss'; the newest model was trained without",
        ):
            query.query(project, Budget(4), Silent())
        project.settings = replace(project.settings, changes={"terms": {"learning_loss": {}}})
        done = fit.fit(project, Silent())

        calls = killed_scoring(monkeypatch, PredictedLoss)
        with pytest.raises(KeyboardInterrupt):
            query.query(project, Budget(2, "images"), Silent())
        asked = query.query(project, Budget(2, "images"), Silent())
        assert not set(calls[0]) & {name for ids in calls[2:] for name in ids}

        table = read_table(project.round_folder(2) / "scores" / "scores.parquet")
        found = table.statistics["learning_loss"]
        np.testing.assert_allclose(
            found, predicted(project, done, table.images), rtol=1e-4, atol=1e-5
        )
        scores = (found - found.min(0)) / np.ptp(found, 0)
        missing = {cell.cell for cell in asked.picks}
        best = max(
            np.mean(
                [
                    scores[row, k]
                    for k, task in enumerate(table.tasks)
                    if (image, task) in unlabelled(project)
                ]
            )
            for row, image in enumerate(table.images)
        )
        assert (
            asked.picks[0].score == pytest.approx(best)
            and len({cell.image_id for cell in missing}) == 2
        )
        kept = json.loads((project.round_folder(2) / "picks.json").read_text())
        assert (
            kept[0]["why"] == "expected to be predicted worst"
            and "predicted loss" in kept[0]["terms"]
        )
        answer(project, made)
        fit.fit(project, Silent())
        assert query.query(project, Budget(1, "images"), Silent()).round == 3


def unlabelled(project):
    """The cells without a label: requested ones, too."""
    labels = {(cell.image_id, cell.task) for cell in fit.context_of(project).source.labels}
    names = [row.image_id for row in project.store.images(("train",))]
    return {(name, task) for name in names for task in project.tasks()} - labels


def predicted(project, done, images):
    """The predictions of whole forward passes."""
    context = models.training_context(models.context_of(project), done)
    model = models.restore_model(context, done)
    rows = []
    for batch in pool_batches(pool_scorer.scoring_job(context, model, {}, {}), images):
        with torch.inference_mode():
            output = model.network(batch.batch.images, batch.batch.targets)
            term = model.terms["learning_loss"]
            rows.append(
                term.predict(output.features, lambda output=output: output.task_features).numpy()
            )
    return np.concatenate(rows)


def test_one_arm_of_a_study_trains_with_the_term_from_its_start_on(tmp_path):
    make_data(tmp_path / "data", pool=6, test=2)
    path = make_recipe(tmp_path, ARMS)
    text = path.read_text().replace('strategies = ["partal", "random_cells"]', "full = false")
    path.write_text(text.replace("rounds = 2", "rounds = 1"))
    request = StudyRequest(
        recipe=str(path),
        study=study_of(str(path), {}),
        root=tmp_path / "data",
        weights="",
        out=tmp_path / "out",
    )
    done = run_study(request)
    assert not done.failed and {r.strategy for r in done.outcomes()} == {
        "start",
        "start.lloss",
        "lloss",
        "images",
    }
    terms = {}
    for file in (tmp_path / "out").rglob("fit.json"):
        run = file.relative_to(tmp_path / "out" / "runs").parts[0].removesuffix("-seed0")
        terms.setdefault(run, set()).update(json.loads(file.read_text())["recipe"]["terms"])
    assert terms == {
        "start": set(),
        "images": set(),
        "start.lloss": {"learning_loss"},
        "lloss": {"learning_loss"},
    }
