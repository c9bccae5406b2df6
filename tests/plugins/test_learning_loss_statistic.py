"""The choosing half of learning loss: scores are the trained term's, a model without it is refused."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from labelgrid.errors import ProjectError
from labelgrid.progress import Silent
from labelgrid.rounds import fit, models, query, score
from labelgrid.score.pool import pool_batches
from labelgrid.select.strategy import Budget
from labelgrid.train import term as terms
from tests.contracts import statistic_laws, strategy_laws
from tests.plugins import learning_loss_statistic as module
from tests.projects import answer, make_project

NAME = "tests.plugins.learning_loss_statistic:build"
TERM = "tests.plugins.test_learning_loss_statistic:build"
BASE = getattr(terms, "BaseTerm", None) or terms.Term


@dataclass(frozen=True)
class Options:
    """No options."""


class Head(BASE):
    """A linear head a task over its mean features: the least that predicts a loss."""

    def __init__(self, tasks):
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(16, 1) for name in tasks})

    def predict(self, task_features):
        return torch.cat([head(task_features[name].mean((2, 3))) for name, head in self.heads.items()], 1)

    def loss(self, step):
        predicted = self.predict({name: x.detach() for name, x in step.output.task_features.items()})
        losses = torch.stack([step.losses[name].detach() for name in self.heads], 1)
        return {"head": (predicted - losses).square().mean(1)}


def build(*arguments):
    return Head(arguments[0])


@pytest.mark.parametrize("law", strategy_laws.LAWS, ids=lambda law: law.__name__)
def test_the_strategy_keeps_the_law(law):
    law(module.build(module.Options()))


@pytest.mark.parametrize("law", statistic_laws.LAWS, ids=lambda law: law.__name__)
def test_the_statistic_keeps_the_law(law, tmp_path):
    statistic = module.build_statistic(0, module.Options(TERM))
    law(statistic_laws.case_of(statistic, statistic_laws.dataset(tmp_path / "made"), tmp_path))


def test_a_round_asks_for_the_cells_that_the_trained_head_expects_most_of(tmp_path, monkeypatch):
    project, made = make_project(tmp_path, strategy=NAME)
    with project:
        query.query(project, Budget(9), Silent())
        answer(project, made)
        scores = {module.STATISTIC: {"term": TERM}}
        project.settings = replace(project.settings, changes={"score": scores})
        fit.fit(project, Silent())
        with pytest.raises(ProjectError, match=r"reads the term '.*'; the newest model was trained without(.|\n)*fit"):
            query.query(project, Budget(4), Silent())
        project.settings = replace(project.settings, changes={"score": scores, "terms": {TERM: {}}})
        done = fit.fit(project, Silent())

        job, real, calls = score.ScoringJob, module.ExpectedLoss.__call__, []

        def killed(self, batch):
            calls.append(batch.batch.ids)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(self, batch)

        monkeypatch.setattr(score, "ScoringJob", lambda **fields: job(**fields, part=3))
        monkeypatch.setattr(module.ExpectedLoss, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            query.query(project, Budget(4), Silent())
        asked = query.query(project, Budget(4), Silent())
        assert not set(calls[0]) & {name for ids in calls[2:] for name in ids}

        table = score.read_table(project.round_folder(2) / "scores" / "scores.parquet")
        found = table.statistics[module.STATISTIC]
        context = models.context_of(project)
        model = models.restore_model(context, done)
        batches = pool_batches(score.scoring_job(models.as_fitted(context, done), model, {}, {}), table.images)
        with torch.inference_mode():
            expected = np.concatenate(
                [
                    model.terms[TERM]
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
        fit.fit(project, Silent())
        assert query.query(project, Budget(2), Silent()).round == 3
