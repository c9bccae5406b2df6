"""How the pool is scored with a round's model, and when such scores are stale."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.errors import ProjectError
from labelgrid.labels.grid import Grid
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.files import hash_of
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice, Recipe
from labelgrid.rounds.context import RoundContext, as_fitted, context_with, labelled_images, recipe_of, round_number
from labelgrid.rounds.members import train_member
from labelgrid.rounds.models import latest, restore_model
from labelgrid.score.fit import FitImages, fit_statistics, weights_stamp
from labelgrid.score.pool import ScoringJob, gather
from labelgrid.score.statistic import Statistic, TrainedStatistic
from labelgrid.score.table import FILE, Table, read_stamp, read_table
from labelgrid.select.strategy import Strategy
from labelgrid.train.model import TrainedModel


def strategy_of(project: ProjectFolder, name: str = "") -> tuple[str, Strategy]:
    """The strategy: the one named, or the settings'."""
    chosen = project.settings.strategy
    options = chosen.options if name in ("", chosen.name) else {}
    return name or chosen.name, build_plugin("select", PluginChoice(name or chosen.name, options))


@dataclass(frozen=True)
class PoolScorer:
    """Scores a project's pool with a trained model; recipe and model are read once, when they are first needed.

    Args:
        done: the training whose model scores.
        strategy: what needs the scores.
        progress: told of long work.
    """

    project: ProjectFolder
    done: Fit
    strategy: Strategy
    progress: Progress

    @cached_property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """The [score] tables of the project's recipe as it is now."""
        return self._recipe.score

    @cached_property
    def context(self) -> RoundContext:
        """The training's recipe with the [score] tables of now, the tasks and the labels."""
        return as_fitted(context_with(self.project, self._recipe), self.done, self.options)

    @cached_property
    def model(self) -> TrainedModel:
        """The training's network and terms."""
        return restore_model(self.context, self.done)

    @cached_property
    def _recipe(self) -> Recipe:
        return recipe_of(self.project)

    @cached_property
    def statistics(self) -> dict[str, Statistic]:
        """What the strategy needs, by name."""
        return {
            name: build_plugin("score", PluginChoice(name, self.options.get(name, {})), self.done.seed)
            for name in sorted(self.strategy.needs)
        }

    @cached_property
    def stamp(self) -> dict[str, str]:
        """What scores are of: the model with its terms, the scoring recipe, and the pool with its labels."""
        needs, options = sorted(self.strategy.needs), self.options
        return {
            "model": self.done.model,
            "recipe": hash_of(self.done.recipe["data"], {n: options.get(n, {}) for n in needs}, self.done.seed),
            "pool": self.project.store.pool_hash(),
            "statistics": ",".join(needs),
        }

    def folder(self, number: int) -> Path:
        """Where a round's scores lie."""
        return self.project.round_folder(number) / "scores"

    def fresh(self, number: int) -> Table | None:
        """The round's scores; None where there are none.

        Raises:
            ProjectError: they are of another model, recipe, pool, terms or weights.
        """
        folder = self.folder(number)
        if not (folder / FILE).exists():
            return None
        trained = [name for name, one in self.statistics.items() if isinstance(one, TrainedStatistic)]
        weights = weights_stamp(folder, trained) if trained else {}
        wanted, found = {**self.stamp, **weights}, read_stamp(folder / FILE)
        stale = sorted(key for key, value in wanted.items() if found.get(key) != value)
        if stale:
            raise ProjectError(
                f"The scores are stale: the {' and the '.join(stale)} changed since they were made.",
                where=str(folder / FILE),
                next_step=f"Run `labelgrid score {self.project.folder}` again.",
                unchanged="Nothing was requested.",
            )
        return read_table(folder / FILE)

    def scored(self, number: int, grid: Grid) -> Table:
        """Score the round's pool; a killed run resumes where it stopped.

        Raises:
            ProjectError: the model was trained without a term that is read.
        """
        self._check_terms()
        if self.done.round != number:
            self.progress.say(
                f"Scoring with the network of round {self.done.round}: this round has none of its own yet."
            )
        missing = [str(grid.images[row]) for row in np.flatnonzero(grid.eligible.any(1)).tolist()]
        wide = any(statistic.scope == "all" for statistic in self.statistics.values())
        labelled = labelled_images(self.project, "train")
        images = FitImages(labelled, missing, self.done.seed, self._train_member)
        job, folder = scoring_job(self.context, self.model, self.statistics, self.stamp), self.folder(number)
        job = fit_statistics(job, images, folder, self.progress)
        return gather(job, list(grid.images) if wide else missing, folder, self.progress)

    def _check_terms(self) -> None:
        """Refuse a model that was trained without a term that a statistic reads.

        Raises:
            ProjectError: with the command that trains one.
        """
        for name, statistic in self.statistics.items():
            lacking = sorted(statistic.terms - self.done.recipe.get("terms", {}).keys())
            if lacking:
                raise ProjectError(
                    f"The statistic '{name}' reads the term '{lacking[0]}'; the newest model was trained without it.",
                    where=str(self.project.folder),
                    next_step=f'Put a table [terms."{lacking[0]}"] into the recipe and run '
                    f"`labelgrid fit {self.project.folder}`.",
                    unchanged="Nothing was scored.",
                )

    def _train_member(self, name: str) -> TrainedModel:
        """Train another network on the same labels, under a seed of its own, or resume that."""
        return train_member(self.context, self.project, self.done, name, self.progress)


def score(project: ProjectFolder, progress: Progress, strategy: str = "") -> Table:
    """Gather what the strategy needs for the images of the pool with the newest model.

    A killed run resumes where it stopped. The table is stamped with model, recipe and pool.

    Raises:
        ProjectError: there is no model yet, or it was trained without a term that is needed.
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
        return Table([], {}, tuple(project.tasks()), {}, {})
    return PoolScorer(project, done, chosen, progress).scored(round_number(project), project.store.grid())


def scoring_job(
    context: RoundContext, model: TrainedModel, statistics: Mapping[str, Statistic], stamp: Mapping[str, str]
) -> ScoringJob:
    """A pass over the pool with a restored model."""
    return ScoringJob(
        model=model,
        tasks=context.tasks,
        definitions=context.definitions,
        source=context.source,
        data=context.recipe.data,
        statistics=statistics,
        stamp=stamp,
        workers=context.recipe.train.workers,
    )
