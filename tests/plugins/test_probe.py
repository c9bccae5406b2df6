"""A probe trained on the frozen network, in one file: exact resume, an untouched network, weights in the stamp."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.errors import ProjectError
from labelgrid.progress import Silent
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import fit, models, query, score
from labelgrid.score import fit as trained
from labelgrid.score.table import read_table
from labelgrid.score.weights import read_weights, write_weights
from labelgrid.select.strategy import Budget
from tests.contracts import statistic_laws, strategy_laws
from tests.plugins import probe
from tests.projects import answer, make_project

NAME = "tests.plugins.probe:build"


@pytest.mark.parametrize("law", strategy_laws.LAWS, ids=lambda law: law.__name__)
def test_the_strategy_keeps_the_law(law):
    law(probe.build(probe.Options()))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    return statistic_laws.case_of(
        probe.build_probe(0, probe.Options()), statistic_laws.dataset(folder / "made"), folder
    )


@pytest.mark.parametrize("law", statistic_laws.LAWS, ids=lambda law: law.__name__)
def test_the_statistic_keeps_the_law(law, case):
    law(case)


class Killed(Silent):
    """Stops after a number of the probe's epochs."""

    def __init__(self, epochs):
        self.left, self.what = epochs, ""

    def start(self, what, total, unit):
        self.what = what

    def advance(self, amount=1, note=""):
        self.left -= self.what == "Training the probe"
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    project, made = make_project(tmp_path_factory.mktemp("prepared"), strategy=NAME)
    with project:
        query.query(project, Budget(9), Silent())
        answer(project, made)
        fit.fit(project, Silent())
    return project.folder, made


@pytest.fixture
def copies(prepared, tmp_path):
    """Two copies of a project that is ready to be scored."""
    import shutil

    for name in "ab":
        shutil.copytree(prepared[0], tmp_path / name)
    with ProjectFolder.open(tmp_path / "a") as a, ProjectFolder.open(tmp_path / "b") as b:
        yield a, b


def weights(project):
    (path,) = (project.round_folder(2) / "scores").glob("*.weights")
    return path, read_weights(path)["state"]


def test_a_killed_round_ends_with_the_same_weights_scores_and_picks(copies, prepared):
    whole, cut = copies
    expected = query.query(whole, Budget(5), Silent())
    with pytest.raises(KeyboardInterrupt):
        query.query(cut, Budget(5), Killed(1))
    epochs = Killed(10)
    found = query.query(cut, Budget(5), epochs)
    assert epochs.left == 10 - 1 and found == expected
    (_, mine), (_, its) = weights(cut), weights(whole)
    assert mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)
    tables = [read_table(p.round_folder(2) / "scores" / "scores.parquet") for p in copies]
    np.testing.assert_array_equal(*(table.statistics[probe.STATISTIC] for table in tables))
    names = sorted(path.name for path in (cut.round_folder(2) / "scores").iterdir())
    assert names == ["scores.parquet", "tests.plugins.probe-build_probe.weights"]
    answer(cut, prepared[1])
    fit.fit(cut, Silent())
    assert query.query(cut, Budget(3), Silent()).round == 3


def test_the_network_is_bitwise_as_it_was(copies, monkeypatch):
    project, _ = copies
    seen, real = [], score.fit_statistics

    def watched(job, images, folder, progress):
        before = {name: value.clone() for name, value in job.model.network.state_dict().items()}
        found = real(job, images, folder, progress)
        seen.append([torch.equal(before[name], value) for name, value in job.model.network.state_dict().items()])
        assert all(p.requires_grad and p.grad is None for p in job.model.network.parameters())
        return found

    monkeypatch.setattr(score, "fit_statistics", watched)
    score.score(project, Silent())
    assert seen and all(seen[0])


def test_the_probe_learns(copies):
    project, _ = copies
    done = newest_fit(project.folder)
    context = models.context_of(project)
    model = models.restore_model(context, done)
    job = score.scoring_job(models.as_fitted(context, done), model, {}, {})
    names = score.labelled_images(project, "train")

    def loss(epochs):
        statistic = probe.build_probe(0, probe.Options(epochs=epochs))
        own = replace(job, statistics={"probe": statistic})
        images = trained.FitImages(names, names, 0, lambda _: model)
        trained.fit_statistics(own, images, project.folder / f"probe-{epochs}", Silent())
        total = 0.0
        for batch in trained.pool_batches(job, names):
            targets = batch.batch.targets
            for name, raw in statistic.predict(batch).items():
                total += float(batch.tasks[name].loss(probe.at_size(raw, targets[name]), targets[name]).sum())
        return total

    assert loss(20) < 0.9 * loss(1)


def test_a_changed_probe_makes_the_scores_stale(copies):
    project, _ = copies
    before = score.score(project, Silent()).statistics[probe.STATISTIC]
    path, state = weights(project)
    kept = read_weights(path)
    write_weights(path, kept | {"state": {name: value + 1 for name, value in state.items()}})
    with pytest.raises(ProjectError, match="The scores are stale: the weights changed since they were computed"):
        query.query(project, Budget(2), Silent())
    assert not np.allclose(score.score(project, Silent()).statistics[probe.STATISTIC], before)
    path.unlink()
    with pytest.raises(ProjectError, match="The scores are stale: the weights changed since they were computed"):
        query.query(project, Budget(2), Silent())
    np.testing.assert_array_equal(score.score(project, Silent()).statistics[probe.STATISTIC], before)


def test_its_options_are_read_from_the_recipe_and_are_part_of_the_stamp(copies):
    project, _ = copies
    score.score(project, Silent())
    project.settings = replace(project.settings, changes={"score": {probe.STATISTIC: {"epochs": 1}}})
    with pytest.raises(ProjectError, match="The scores are stale: the recipe changed since they were computed"):
        query.query(project, Budget(2), Silent())
    project.settings = replace(project.settings, changes={"score": {probe.STATISTIC: {"epoch": 1}}})
    with pytest.raises(Exception, match="did you mean 'epochs'"):
        query.query(project, Budget(2), Silent())
