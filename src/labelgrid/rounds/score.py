"""How the pool is scored with a round's network, and when such scores are stale."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from labelgrid.errors import ProjectError
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.files import hash_of, load_recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds.context import RoundContext, round_number
from labelgrid.rounds.models import latest, restore
from labelgrid.score.pool import ScoringJob, Statistic, gather
from labelgrid.score.table import FILE, Table, read_stamp, read_table
from labelgrid.select.strategy import Strategy
from labelgrid.train.model import TrainedModel


def strategy_of(project: ProjectFolder, name: str = "") -> tuple[str, Strategy]:
    """The strategy: the one named, or the settings'."""
    chosen = project.settings.strategy
    options = chosen.options if name in ("", chosen.name) else {}
    return name or chosen.name, build_plugin("select", PluginChoice(name or chosen.name, options))


def score(project: ProjectFolder, progress: Progress, strategy: str = "") -> Table:
    """Gather what the strategy needs for every image of the pool with the newest model.

    A killed run goes on where it stopped. The table is stamped with model, recipe and pool.

    Raises:
        ProjectError: there is no model yet.
    """
    name, chosen = strategy_of(project, strategy)
    done = latest(project)
    if done is None:
        raise ProjectError(
            "There is no model to score with yet.",
            where=str(project.folder),
            next_step="Run `labelgrid fit` first; with no labels at all, `labelgrid query` picks at random.",
            unchanged="Nothing was scored.",
        )
    if not chosen.needs:
        progress.say(f"Strategy '{name}' needs no scores: nothing was done.")
        return Table([], {}, tuple(project.tasks()), {})
    number = round_number(project)
    if done.round != number:
        progress.say(f"Scoring with the network of round {done.round}: this round has none of its own yet.")
    options = score_options(project)
    crew, model = restore(project, done, options)
    grid = project.store.grid()
    statistics = {
        n: build_plugin("score", PluginChoice(n, options.get(n, {})), crew.seed) for n in sorted(chosen.needs)
    }
    work = scoring_job(crew, model, statistics, stamp_of(project, done, options, chosen))
    names = [str(grid.images[row]) for row in np.flatnonzero(grid.eligible.any(1)).tolist()]
    return gather(work, names, folder_of(project, number), progress)


def scoring_job(
    crew: RoundContext,
    model: TrainedModel,
    statistics: Mapping[str, Statistic],
    stamp: Mapping[str, str],
) -> ScoringJob:
    """A pass over the pool with a restored model."""
    return ScoringJob(
        network=model.network,
        tasks=crew.tasks,
        definitions=crew.definitions,
        source=crew.source,
        data=crew.recipe.data,
        statistics=statistics,
        stamp=stamp,
        workers=crew.recipe.train.workers,
    )


def score_options(project: ProjectFolder) -> Mapping[str, Mapping[str, object]]:
    """The [score] tables of the project's recipe as it is now."""
    return load_recipe(project.settings.recipe, project.settings.changes, beside=project.folder).score


def folder_of(project: ProjectFolder, number: int) -> Path:
    """Where a round's scores lie."""
    return project.round_folder(number) / "scores"


def stamp_of(
    project: ProjectFolder, done: Fit, options: Mapping[str, Mapping[str, object]], strategy: Strategy
) -> dict[str, str]:
    """What scores are of: the model's weights, the scoring recipe and the pool."""
    needs = sorted(strategy.needs)
    return {
        "model": done.model,
        "recipe": hash_of(done.recipe["data"], {name: options.get(name, {}) for name in needs}, done.seed),
        "pool": project.store.pool_hash(),
        "statistics": ",".join(needs),
    }


def fresh(project: ProjectFolder, done: Fit, strategy: Strategy, number: int) -> Table | None:
    """The round's scores; None where there are none.

    Raises:
        ProjectError: they are of another model, recipe or pool.
    """
    path = folder_of(project, number) / FILE
    if not path.exists():
        return None
    wanted, found = stamp_of(project, done, score_options(project), strategy), read_stamp(path)
    stale = sorted(key for key, value in wanted.items() if found.get(key) != value)
    if stale:
        raise ProjectError(
            f"The scores are stale: the {' and the '.join(stale)} changed since they were made.",
            where=str(path),
            next_step=f"Run `labelgrid score {project.folder}` again.",
            unchanged="Nothing was requested.",
        )
    return read_table(path)
