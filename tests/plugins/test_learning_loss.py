"""Learning loss in a whole round: the head learns which images the network predicts worst, and is restored."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.data.loader import train_batch
from labelgrid.errors import ProjectError
from labelgrid.progress import Silent
from labelgrid.project.artifacts import newest_fit
from labelgrid.rounds import fit as rounds_fit
from labelgrid.rounds import models, query, score
from labelgrid.rounds.models import restore
from labelgrid.score.pool import pool_batches
from labelgrid.score.table import read_table
from labelgrid.select.strategy import Budget
from labelgrid.train.loop import fit
from labelgrid.train.objective import task_losses
from labelgrid.train.options import TrainOptions
from labelgrid.train.seeding import keyed
from tests.contracts import statistic_laws, strategy_laws
from tests.plugins import learning_loss as module
from tests.plugins.learning_loss import LearningLoss, Options
from tests.projects import answer, make_project
from tests.rounds import whole_round
from tests.stopping import killed_scoring
from tests.support import make_dataset
from tests.toys import DATA, toy_plan

NAME = module.TERM


def test_the_trained_head_is_restored_with_the_model_of_a_killed_training(tmp_path):
    project, _ = whole_round(tmp_path, {"train": {"epochs": 3}, "terms": {NAME: {}}})
    with project:
        context, model = restore(project, newest_fit(project.folder))
        head = model.terms[NAME]
        features = model.network(torch.zeros(2, 3, 32, 64)).task_features
        assert head.predict(features).shape == (2, 3) and not head.training
        with keyed(context.seed, "init", "term", NAME):
            drawn = LearningLoss(context.tasks, model.network, Options())
        assert any(not torch.equal(a, b) for a, b in zip(head.parameters(), drawn.parameters(), strict=True))


def test_the_network_does_not_learn_from_the_head(tmp_path):
    made = make_dataset(tmp_path / "data", n=8, size=(32, 64), tasks=("depth",))
    weights = []
    for weight in (0.0, 1.0):
        plan, _ = trained(made, tmp_path / str(weight), TrainOptions(epochs=3, batch=4), weight)
        weights.append(plan.network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_head_learns_to_rank_images_by_their_loss(tmp_path):
    """The network is frozen, so that what is to be ranked stays the same."""
    made = make_dataset(tmp_path / "data", n=12, size=(32, 64), tasks=("depth",))
    options = TrainOptions(epochs=150, batch=12, learning_rate=1e-2, known=0.0, power=0.0)
    plan, term = trained(made, tmp_path / "fit", options, 1.0, frozen=True)
    assert agreement(plan, term) > 0.62  # 0.5 by chance


def trained(made, folder, options, weight, *, frozen=False):
    plan = toy_plan(made, options, data=replace(DATA, flip=0.0, zoom=(1.0,)))
    plan.network.requires_grad_(not frozen)
    with keyed(0, "head"):
        term = LearningLoss(plan.tasks, plan.network, Options(weight=weight))
    fit(replace(plan, terms={"learning": term}), folder, Silent())
    return plan, term


def agreement(plan, term):
    """The share of pairs of images that the head orders as their losses do, over twenty views of all images."""
    shares = []
    for seed in range(20):
        batch = train_batch(plan.source, plan.definitions, plan.train, plan.data, seed=seed, soft={})
        with torch.inference_mode(), keyed(seed, "agreement"):
            output = plan.network.train()(batch.images)
            losses = task_losses(plan.tasks, output, batch.targets, plan.objective.initial)["depth"]
            predicted = term.predict(output.task_features)[:, 0]
        one, other = torch.triu_indices(len(losses), len(losses), 1)
        same = torch.sign(losses[one] - losses[other]) == torch.sign(predicted[one] - predicted[other])
        shares.append(float(same.float().mean()))
    return sum(shares) / len(shares)


@pytest.mark.parametrize("law", strategy_laws.LAWS, ids=lambda law: law.__name__)
def test_the_strategy_keeps_the_law(law):
    law(module.build_strategy(Options()))


@pytest.mark.parametrize("law", statistic_laws.LAWS, ids=lambda law: law.__name__)
def test_the_statistic_keeps_the_law(law, tmp_path):
    statistic = module.build_statistic(0, Options())
    law(statistic_laws.case_of(statistic, statistic_laws.dataset(tmp_path / "made"), tmp_path))


def test_a_round_asks_for_the_cells_that_the_trained_head_expects_most_of(tmp_path, monkeypatch):
    project, made = make_project(tmp_path, strategy=module.STRATEGY)
    with project:
        query.query(project, Budget(9), Silent())
        answer(project, made)
        scores = {module.STATISTIC: {}}
        project.settings = replace(project.settings, changes={"score": scores})
        rounds_fit.fit(project, Silent())
        with pytest.raises(ProjectError, match=r"reads the term '.*'; the newest model was trained without(.|\n)*fit"):
            query.query(project, Budget(4), Silent())
        project.settings = replace(project.settings, changes={"score": scores, "terms": {module.TERM: {}}})
        done = rounds_fit.fit(project, Silent())

        calls = killed_scoring(monkeypatch, module.ExpectedLoss)
        with pytest.raises(KeyboardInterrupt):
            query.query(project, Budget(4), Silent())
        asked = query.query(project, Budget(4), Silent())
        assert not set(calls[0]) & {name for ids in calls[2:] for name in ids}

        table = read_table(project.round_folder(2) / "scores" / "scores.parquet")
        found = table.statistics[module.STATISTIC]
        context = models.context_of(project)
        model = models.restore_model(context, done)
        batches = pool_batches(score.scoring_job(models.as_fitted(context, done), model, {}, {}), table.images)
        with torch.inference_mode():
            expected = np.concatenate(
                [
                    model.terms[module.TERM]
                    .predict(model.network(batch.batch.images, batch.batch.targets).task_features)
                    .numpy()
                    for batch in batches
                ]
            )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        low, high = found.min(0), found.max(0)
        best = np.unravel_index(np.argsort(-((found - low) / (high - low)), axis=None)[:1], found.shape)
        assert asked.picks[0].score == 1.0 and float(((found - low) / (high - low))[best][0]) == 1.0
        assert json.loads((project.round_folder(2) / "picks.json").read_text())[0]["why"] == "expected to cost most"
        answer(project, made)
        rounds_fit.fit(project, Silent())
        assert query.query(project, Budget(2), Silent()).round == 3
