"""Laws of scoring a project's pool: members, random weights, and what is refused."""

import json
import shutil
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ModelError, PluginError, ProjectError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, newest_fit
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds import context, fit, members, pool_scorer, query, score
from labelgrid.rounds.round_scores import RoundScores, check_expected_options, strategy_of
from labelgrid.score.statistic import Statistic, TrainedStatistic
from labelgrid.score.statistics import dropout
from labelgrid.score.table import FILE
from labelgrid.score.table_files import read_stamp
from labelgrid.select.parts import AsIs, ComposedStrategy, ScorerResult
from labelgrid.select.strategy import Budget
from tests.projects import Said, answer, make_project
from tests.rounds import QUICK, labelled

COVERS = ["labelgrid.rounds.pool_scorer"]
HERE = "tests.unit.rounds.test_score"


def record(recipe: dict[str, Any], named: str) -> Fit:
    return Fit(
        round=1,
        checkpoint="rounds/0001/fit/last.ckpt",
        model="abc",
        recipe=recipe,
        seed=0,
        trained=["depth"],
        images=1,
        labels={"depth": 1},
        spent=1.0,
        named=named,
    )


def test_a_model_of_its_own_recipe_is_scored_with_it_unless_the_project_says_otherwise(
    tmp_path: Path,
) -> None:
    project, _ = make_project(tmp_path, n=3, holdout=0, tasks=("depth",))  # its recipe has 4 passes
    _, strategy = strategy_of(project, "partal")
    with project:
        recipe = json.loads(
            context.recipe_of(project, changes={"score": {"dropout": {"passes": 2}}}).json()
        )
        own, plain = (
            RoundScores(project, record(recipe, named), strategy) for named in ("mine.toml", "")
        )
        assert (own.options["dropout"]["passes"], plain.options["dropout"]["passes"]) == (2, 4)
        assert own.stamp["recipe"] != plain.stamp["recipe"]
        assert parse(Recipe, own.tables, "own").score["dropout"]["passes"] == 2
        project.settings = replace(project.settings, changes={"score": {"dropout": {"passes": 3}}})
        for scores in (own, plain):
            assert replace(scores).options["dropout"]["passes"] == 3


def test_an_option_of_a_statistic_that_the_strategy_cannot_use_is_refused_in_fit_and_score(
    tmp_path: Path,
) -> None:
    project, _ = labelled(tmp_path)
    with project:
        chosen = replace(project.settings, strategy=PluginChoice("clasp_pe"))
        project.settings = replace(
            chosen, changes={"score": {"dropout": {"measure": "information"}}}
        )
        with pytest.raises(RecipeError, match="The strategy 'clasp_pe' needs measure"):
            fit.fit(project, Silent())
        _, strategy = strategy_of(project)
        recipe = json.loads(context.recipe_of(project).json())
        with pytest.raises(RecipeError, match="The strategy needs measure"):
            assert RoundScores(project, record(recipe, ""), strategy).stamp


def test_a_strategy_brings_the_options_of_its_statistics_that_a_recipe_does_not_name(
    tmp_path: Path,
) -> None:
    project, _ = labelled(tmp_path)
    with project:
        recipe = json.loads(context.recipe_of(project).json())
        plain, brought = (
            RoundScores(project, record(recipe, ""), strategy_of(project, n)[1])
            for n in ("partal", "bald")
        )
        assert (
            "measure" not in plain.options["dropout"]
            and brought.options["dropout"]["measure"] == "information"
        )
        assert {**brought.options["dropout"]}.items() > plain.options["dropout"].items()
        assert plain.stamp["recipe"] != brought.stamp["recipe"]
        built = pool_scorer.PoolScorer(brought, Silent()).statistics["dropout"]
        assert isinstance(built, dropout.Dropout) and built.options.measure == "information"
        project.settings = replace(
            project.settings, changes={"score": {"dropout": {"measure": "entropy"}}}
        )
        with pytest.raises(RecipeError, match='The strategy needs measure = "information"'):
            assert replace(brought).stamp


@pytest.mark.parametrize(
    ("expects", "message"),
    [
        (
            {"scores": {"dropout": {"measure": "entropy"}}},
            r"Mine relies on options of 'scores'; .* statistics, terms",
        ),
        (
            {"statistics": {"dropout": {"measures": "entropy"}}},
            r"Mine relies on the option 'measures' of \[score\.dropout\]",
        ),
    ],
)
def test_a_strategy_that_relies_on_what_no_plug_in_has_is_refused(
    expects: dict[str, Any], message: str
) -> None:
    strategy = replace(build_plugin("strategies", PluginChoice("random_cells")), expects=expects)
    with pytest.raises(PluginError, match=message):
        check_expected_options("Mine", strategy, {"statistics": {}, "terms": {}})


def test_an_option_of_a_term_that_the_strategy_cannot_use_is_refused_in_fit_and_score(
    tmp_path: Path,
) -> None:
    project, _ = labelled(tmp_path)
    with project:
        chosen = replace(
            project.settings, strategy=PluginChoice("learning_loss", {"unit": "cells"})
        )
        project.settings = replace(
            chosen, changes={"terms": {"learning_loss": {"predict": "image"}}}
        )
        with pytest.raises(RecipeError, match="The strategy 'learning_loss' needs predict"):
            fit.fit(project, Silent())
        _, strategy = strategy_of(project)
        recipe = json.loads(context.recipe_of(project).json())
        with pytest.raises(
            RecipeError, match=r"The strategy needs predict = .* in \[terms.learning_loss\]"
        ):
            assert RoundScores(project, record(recipe, ""), strategy).stamp


def other_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `at` have another default, as in an earlier version."""
    earlier = make_dataclass(
        "Options", [("at", str, "original")], bases=(dropout.Options,), frozen=True
    )
    monkeypatch.setattr(dropout, "Options", earlier)


def test_scores_of_another_default_are_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = make_project(tmp_path, n=3, holdout=0, tasks=("depth",))
    _, strategy = strategy_of(project, "partal")
    with project:
        recipe = json.loads(context.recipe_of(project).json())
        now = RoundScores(project, record(recipe, ""), strategy).stamp
        other_default(monkeypatch)
        earlier = RoundScores(project, record(recipe, ""), strategy).stamp
        assert {key for key in now if now[key] != earlier[key]} == {"recipe"}


def test_scores_of_another_default_are_calibrated_anew(tmp_path: Path) -> None:
    project, made = labelled(tmp_path)
    with project:
        fit.fit(project, Silent(), changes=QUICK)
        with pytest.MonkeyPatch.context() as monkeypatch:
            other_default(monkeypatch)
            before = query.query(project, Budget(2), Silent(), prelabels=False)
        answer(project, made)
        fit.fit(project, Silent(), changes=QUICK)
        said = Said()
        query.query(project, Budget(2), said, prelabels=False)
        line = "'partal' calibrates its scores again: their options, or the defaults of these, changed since round "
        assert (
            f"{line}{before.round}. They do not compare with those of earlier rounds." in said.lines
        )
        answer(project, made)
        fit.fit(project, Silent(), changes=QUICK)
        said = Said()
        query.query(project, Budget(2), said, prelabels=False)
        assert not [line for line in said.lines if "calibrates" in line]


def test_scores_of_another_measure_are_stale_until_the_pool_is_scored_for_the_strategy(
    tmp_path: Path,
) -> None:
    project, _ = labelled(tmp_path)
    with project:
        fit.fit(project, Silent(), changes=QUICK)
        plain = score.score(project, Silent())
        with pytest.raises(
            ProjectError, match=r"stale: the recipe changed(.|\n)*with the query's `--strategy`"
        ):
            query.query(project, Budget(2), Silent(), strategy="bald", prelabels=False)
        other = score.score(project, Silent(), strategy="bald")
        assert not np.allclose(
            plain.statistics["dropout"], other.statistics["dropout"], equal_nan=True
        )
        found = query.query(project, Budget(2), Silent(), strategy="bald", prelabels=False)
        assert {pick.why for pick in found.picks} == {"predictions disagree most"}


@dataclass(frozen=True)
class Options:
    """No options."""


class Ensemble(TrainedStatistic):
    """The number of the model's members: the fit trains one."""

    axis = "image"

    def setup(self, example):
        """No modules."""

    def fit(self, context):
        context.train_member("second")

    def __call__(self, batch):
        return np.full(len(batch.keys), len(batch.model.members), np.float64)


class Drawn(Statistic):
    """A random projection that is made when the statistic is."""

    axis, scope = "feature", "all"

    def __init__(self):
        self.project = torch.randn(2, 400)

    def __call__(self, batch):
        pooled = batch.features.pooled()
        return (pooled @ self.project[:, : pooled.shape[1]].T).numpy()


class Broken(Statistic):
    """Not finite for labelled images only."""

    axis, scope = "image", "all"

    def __call__(self, batch):
        present = torch.stack([target.present for target in batch.batch.targets.values()], 1)
        return np.where(present.all(1).numpy(), np.nan, 1.0)


def build_ensemble(seed, options):
    return Ensemble()


def build_drawn(seed, options):
    return Drawn()


def build_broken(seed, options):
    return Broken()


def by(statistic):
    name = f"{HERE}:{statistic}"

    def scorer(view):
        values = view.statistics[name]
        column = values if values.ndim == 1 else values[:, 0]
        return ScorerResult(np.repeat(column[:, None].astype(np.float64), len(view.grid.tasks), 1))

    return ComposedStrategy(
        needs=frozenset({name}), scorer=scorer, normaliser=AsIs(), unit="cells", why="it"
    )


def by_ensemble(options):
    return by("build_ensemble")


def by_drawn(options):
    return by("build_drawn")


def by_broken(options):
    return by("build_broken")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    project, made = make_project(tmp_path_factory.mktemp("prepared"), n=8, holdout=0)
    with project:
        query.query(project, Budget(9), Silent(), prelabels=False, strategy="random_images")
        answer(project, made)
        fit.fit(project, Silent(), changes=QUICK)
    return project.folder, made


@pytest.fixture
def project(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as opened:
        yield opened


def scores(project, strategy):
    return score.score(project, Silent(), f"{HERE}:{strategy}").statistics


def test_a_member_that_the_scoring_trains_is_seen_by_it_and_is_in_the_stamp(project):
    name = f"{HERE}:build_ensemble"
    assert (scores(project, "by_ensemble")[name] == 1).all()
    path = project.round_folder(2) / "scores" / FILE
    assert "members" in read_stamp(path)
    assert (scores(project, "by_ensemble")[name] == 1).all()
    shutil.rmtree(project.round_folder(2) / "fit" / "members")
    with pytest.raises(ProjectError, match="scores are stale: the members changed"):
        query.query(project, Budget(2), Silent(), strategy=f"{HERE}:by_ensemble")


def test_modules_of_a_statistic_are_built_under_a_stream_of_their_own(project):
    made = newest_fit(project.folder)
    strategy = strategy_of(project, f"{HERE}:by_drawn")[1]
    seen = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        seen.append(
            pool_scorer.PoolScorer(RoundScores(project, made, strategy), Silent()).statistics[
                f"{HERE}:build_drawn"
            ]
        )
        assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(seen[0].project, seen[1].project)


def test_a_value_of_a_labelled_image_that_is_not_finite_is_refused(project):
    with pytest.raises(ProjectError, match=r"\d+ scored images have no finite"):
        query.query(project, Budget(2), Silent(), strategy=f"{HERE}:by_broken")


def test_a_member_is_not_trained_on_other_labels_than_its_round(project, prepared):
    made = newest_fit(project.folder)
    query.query(project, Budget(3), Silent(), prelabels=False, strategy="random_images")
    answer(project, prepared[1])
    assert any(row.round == 2 for row in project.store.cells(state=State.LABELLED))
    with pytest.raises(ModelError, match="labels changed since the training of round 2"):
        members.train_member(context.context_of(project), made, name="late", progress=Silent())
    assert not (project.round_folder(2) / "fit" / "members" / "late").exists()


def test_a_trained_statistic_of_all_images_needs_no_missing_cell(project, prepared):
    rest = Budget(float(project.store.grid().eligible.any(1).sum()), "images")
    query.query(project, rest, Silent(), prelabels=False, strategy="random_images")
    answer(project, prepared[1])
    fit.fit(project, Silent(), changes=QUICK)
    assert scores(project, "by_ensemble") is not None
