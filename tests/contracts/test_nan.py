"""One NaN among a strategy's stored scores makes its query refuse and name the statistic."""

from dataclasses import dataclass

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds import fit, query
from labelgrid.rounds.round_scores import RoundScores, scoring_model, strategy_of
from labelgrid.score.statistic import Statistic
from labelgrid.score.table import FILE, Table
from labelgrid.score.table_files import write_table
from labelgrid.select.parts import AsIs, ComposedStrategy, ScorerResult
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project
from tests.rounds import copied

HERE = "tests.contracts.test_nan"
OF_IMAGES = f"{HERE}:build_of_images"


@dataclass(frozen=True)
class Options:
    """No options."""


class OfImages(Statistic):
    """The one axis that no shipped statistic has."""

    axis = "image"


def build_of_images(seed, options):
    return OfImages()


def by_images(options):
    def scorer(pool):
        return ScorerResult(np.repeat(pool.statistics[OF_IMAGES][:, None], len(pool.grid.tasks), 1))

    return ComposedStrategy(
        needs=frozenset({OF_IMAGES}), scorer=scorer, normaliser=AsIs(), unit="images", why="why"
    )


CASES = [
    (name, statistic)
    for name in [*plugins.names("strategies"), f"{HERE}:by_images"]
    for statistic in sorted(build_plugin("strategies", PluginChoice(name)).needs)
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project with a model of all tasks and unlabelled images."""
    project, made = make_project(tmp_path_factory.mktemp("prepared"))
    with project:
        query.query(project, Budget(9), Silent(), strategy="random_images", prelabels=False)
        answer(project, made)
        fit.fit(project, Silent())
    return project


@pytest.fixture
def project(prepared, tmp_path):
    with copied(prepared, tmp_path / "flat") as opened:
        yield opened


def store(project, strategy, wrong=""):
    """Store a made score table of the round, fresh for this strategy.

    One value of the statistic `wrong` is NaN.
    """
    _, chosen = strategy_of(project, strategy)
    scores, grid = (
        RoundScores(project, scoring_model(project, chosen), chosen),
        project.store.grid(),
    )
    built = {each: build_plugin("statistics", PluginChoice(each), 0) for each in chosen.needs}
    n, t = grid.state.shape
    row, column = np.argwhere(grid.eligible)[-1]
    values, draw = {}, np.random.default_rng(0)
    for each, statistic in built.items():
        shape = {"cell": (n, t), "image": (n,), "feature": (n, 4 * t)}[statistic.axis]
        values[each] = draw.random(shape).astype(
            np.float32 if statistic.axis == "feature" else np.float64
        )
    if wrong:
        values[wrong][row if built[wrong].axis == "image" else (row, column)] = np.nan
    axes = {each: statistic.axis for each, statistic in built.items()}
    table = Table(
        images=grid.images,
        statistics=values,
        tasks=tuple(grid.tasks),
        stamp={**scores.stamp, **scores.members_stamp()},
        axes=axes,
    )
    folder = scores.folder(project.round_number)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(table, folder / FILE)


def test_the_cases_have_statistics_of_all_axes():
    axes = {build_plugin("statistics", PluginChoice(statistic), 0).axis for _, statistic in CASES}
    assert axes == {"cell", "image", "feature"}


@pytest.mark.parametrize(("strategy", "statistic"), CASES)
def test_one_nan_is_refused_by_the_name_of_its_statistic(project, strategy, statistic):
    before = project.store.pool_hash()
    store(project, strategy)
    assert query.query(project, Budget(6), Silent(), strategy=strategy, dry_run=True).picks
    store(project, strategy, wrong=statistic)
    with pytest.raises(
        ProjectError,
        match=rf"^1 (cell of a trained task|scored image) has no finite '{statistic}' ",
    ):
        query.query(project, Budget(6), Silent(), strategy=strategy, prelabels=False)
    assert project.store.pool_hash() == before
