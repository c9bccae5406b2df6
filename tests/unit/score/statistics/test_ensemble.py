"""Deep ensembles: the numbers of all networks' predictions in float64.

Members are found, resumed and missed.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.errors import ModelError
from labelgrid.basics.progress import Silent
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import fit, query
from labelgrid.score.fit_statistics import FitImages, fit_statistics
from labelgrid.score.statistics.ensemble import Ensemble, Options, build
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel
from tests.projects import answer, make_project
from tests.rounds import copied
from tests.scoring import entropy, information, job_of, make_pool, margin, predictions, scored
from tests.toys import toy_network


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_pool(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def members(made):
    tasks = build_all(definitions(list(made.rows)))
    names = ["ensemble-001", "ensemble-002", "other"]
    return {
        name: TrainedModel(network=toy_network(tasks, seed=k).eval(), digest=name)
        for k, name in enumerate(names, 1)
    }


def fitted(made, members, folder, options, trained):
    """A job whose ensemble was fitted; `trained` notes the members that were trained."""

    def train_member(name):
        trained.append(name)
        return members[name]

    folder.mkdir(exist_ok=True)
    job = job_of(made, build(0, options), members=list(members.values())[::-1])
    return fit_statistics(
        job,
        FitImages(
            labelled=list(made.names),
            pool=list(made.names),
            seed=0,
            train_member=train_member,
            objective=ObjectiveOptions(),
        ),
        folder,
        Silent(),
    )


@pytest.mark.parametrize(
    ("measure", "slow"), [("entropy", entropy), ("information", information), ("margin", margin)]
)
@pytest.mark.parametrize(("at", "known"), [("original", True), ("half", False), ("head", True)])
def test_it_is_the_uncertainty_of_the_predictions_of_all_its_networks(
    made, members, tmp_path, measure, slow, at, known
):
    job = fitted(
        made,
        members,
        folder=tmp_path,
        options=Options(members=3, at=at, measure=measure, known=known),
        trained=[],
    )
    networks = [job.model.network, members["ensemble-001"].network, members["ensemble-002"].network]
    wanted = []
    for name in made.names:
        found = [predictions(job, network, name=name, at=at, known=known) for network in networks]
        wanted.append(
            [slow(job.tasks[t].kind, np.stack([one[t] for one in found])) for t in job.tasks]
        )
    np.testing.assert_allclose(scored(job, made.names), wanted, rtol=2e-3, atol=1e-4)


def test_saved_scores_find_their_members_again_and_train_none(made, members, tmp_path):
    trained = []
    first = scored(
        fitted(made, members, folder=tmp_path, options=Options(members=3), trained=trained),
        made.names,
    )
    again = scored(
        fitted(made, members, folder=tmp_path, options=Options(members=3), trained=trained),
        made.names,
    )
    assert trained == ["ensemble-001", "ensemble-002"]
    np.testing.assert_array_equal(first, again)


def test_a_member_that_is_gone_is_missed(made, members, tmp_path):
    job = fitted(made, members, folder=tmp_path, options=Options(members=3), trained=[])
    less = replace(job, model=replace(job.model, members=(members["other"],)))
    with pytest.raises(
        ModelError, match="2 of the ensemble's 2 further networks are not in the round's folder"
    ):
        scored(less, made.names)


def project_of(folder):
    project, made = make_project(folder, n=8, holdout=0, tasks=("semseg", "depth"))
    choice = PluginChoice("partal", {"statistic": "ensemble"})
    changes = {"score": {"ensemble": {"members": 3}}, "train": {"epochs": 1}}
    project.settings = replace(project.settings, strategy=choice, changes=changes)
    query.query(project, Budget(6), Silent(), prelabels=False, strategy="random_images")
    answer(project, made)
    fit.fit(project, Silent())
    return project


def test_a_strategy_picks_by_it_and_a_killed_query_resumes_with_the_members_that_are_trained(
    tmp_path, monkeypatch
):
    whole = project_of(tmp_path / "whole")
    cut = copied(whole, tmp_path / "cut" / "flat")
    cut.settings = whole.settings
    real = Ensemble.fit

    def killed(self, context):
        context.train_member("ensemble-001")
        raise KeyboardInterrupt

    with whole, cut:
        expected = query.query(whole, Budget(5), Silent(), prelabels=False)
        monkeypatch.setattr(Ensemble, "fit", killed)
        with pytest.raises(KeyboardInterrupt):
            query.query(cut, Budget(5), Silent(), prelabels=False)
        monkeypatch.setattr(Ensemble, "fit", real)
        record = cut.round_folder(2) / "fit" / "members" / "ensemble-001" / "member.json"
        kept = json.loads(record.read_text())
        found = query.query(cut, Budget(5), Silent(), prelabels=False)
        assert json.loads(record.read_text()) == kept
        assert [pick.cell for pick in found.picks] == [pick.cell for pick in expected.picks]
        shutil.rmtree(tmp_path / "cut")
