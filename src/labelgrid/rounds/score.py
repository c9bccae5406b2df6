"""Scores the pool with a round's model, and refuses stale scores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.errors import ProjectError
from labelgrid.labels.grid import Grid
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit, MemberRecord, read_members
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.files import hash_of
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice, Recipe
from labelgrid.rounds.context import RoundContext, as_fitted, context_with, labelled_images, recipe_of
from labelgrid.rounds.members import train_member
from labelgrid.rounds.models import latest, restore_model
from labelgrid.score.fit import FitImages, fit_statistics, weights_stamp
from labelgrid.score.pool import ScoringJob, gather
from labelgrid.score.statistic import Statistic, TrainedStatistic
from labelgrid.score.table import FILE, Table, read_stamp, read_table
from labelgrid.select.strategy import Strategy
from labelgrid.train.model import TrainedModel
from labelgrid.train.seeding import keyed


def strategy_of(project: ProjectFolder, name: str = "") -> tuple[str, Strategy]:
    """The name and the strategy: the given one, or else that of the settings."""
    chosen = project.settings.strategy
    options = chosen.options if name in ("", chosen.name) else {}
    return name or chosen.name, build_plugin("select", PluginChoice(name or chosen.name, options))


@dataclass(frozen=True)
class PoolScorer:
    """Scores a project's pool with a trained model. It reads the recipe and the model once, on first use.

    Args:
        project: the project.
        fit: the record of the training whose model scores.
        strategy: the strategy that needs the scores.
        progress: receives the progress.
    """

    project: ProjectFolder
    fit: Fit
    strategy: Strategy
    progress: Progress

    @cached_property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """The [score] tables of the project's current recipe."""
        return self._recipe.score

    @cached_property
    def context(self) -> RoundContext:
        """The context with the training's recipe and the current [score] tables."""
        return as_fitted(context_with(self.project, self._recipe), self.fit, self.options)

    @cached_property
    def model(self) -> TrainedModel:
        """The trained model."""
        return restore_model(self.context, self.fit)

    @cached_property
    def _recipe(self) -> Recipe:
        return recipe_of(self.project)

    @cached_property
    def statistics(self) -> dict[str, Statistic]:
        """The statistics that the strategy needs, by name."""
        return {name: self._build(name) for name in sorted(self.strategy.needs)}

    def _build(self, name: str) -> Statistic:
        """A statistic with random weights of its own stream, where it has some."""
        choice = PluginChoice(name, self.options.get(name, {}))
        with keyed(self.fit.seed, "init", "score", name, "build"):
            statistic: Statistic = build_plugin("score", choice, self.fit.seed)
        return statistic

    @cached_property
    def stamp(self) -> dict[str, str]:
        """What scores depend on: the model with its terms, the scoring recipe, and the pool with its labels."""
        needs, options = sorted(self.strategy.needs), self.options
        return {
            "model": self.fit.model,
            "recipe": hash_of(self.fit.recipe["data"], {n: options.get(n, {}) for n in needs}, self.fit.seed),
            "pool": self.project.store.pool_hash(),
            "statistics": ",".join(needs),
        }

    def folder(self, number: int) -> Path:
        """The folder of a round's scores."""
        return self.project.round_folder(number) / "scores"

    def fresh(self, number: int) -> Table | None:
        """The round's scores; None if there are none.

        Raises:
            ProjectError: they are stale: computed with another model, recipe, pool, terms or weights.
        """
        folder = self.folder(number)
        if not (folder / FILE).exists():
            return None
        trained = [name for name, one in self.statistics.items() if isinstance(one, TrainedStatistic)]
        weights = weights_stamp(folder, trained) if trained else {}
        expected, stored = {**self.stamp, **weights, **self._members_stamp()}, read_stamp(folder / FILE)
        stale = sorted(key for key in expected.keys() | stored.keys() if stored.get(key) != expected.get(key))
        if stale:
            raise ProjectError(
                f"The scores are stale: the {' and the '.join(stale)} changed since they were computed.",
                where=str(folder / FILE),
                next_step=f"Run `labelgrid score {self.project.folder}` again.",
                unchanged="Nothing was requested.",
            )
        return read_table(folder / FILE)

    def scored(self, number: int, grid: Grid) -> Table:
        """Score the round's pool; a killed run resumes where it stopped.

        Raises:
            ProjectError: the model was trained without a term that a statistic reads.
        """
        self._check_terms()
        if self.fit.round != number:
            self.progress.say(f"Scoring with the network of round {self.fit.round}: this round has no network yet.")
        missing = [str(grid.images[row]) for row in np.flatnonzero(grid.eligible.any(1)).tolist()]
        all_images = any(statistic.scope == "all" for statistic in self.statistics.values())
        labelled, members = labelled_images(self.project, "train"), self._members()
        images = FitImages(labelled, missing, self.fit.seed, self._train_member)
        job, folder = scoring_job(self.context, self.model, self.statistics, self.stamp), self.folder(number)
        job = fit_statistics(job, images, folder, self.progress)
        if self._members() != members:  # a statistic trained one
            job = replace(job, model=restore_model(self.context, self.fit))
        job = replace(job, stamp={**job.stamp, **self._members_stamp()})
        return gather(job, list(grid.images) if all_images else missing, folder, self.progress)

    def _check_terms(self) -> None:
        """Check that the model was trained with every term that a statistic reads.

        Raises:
            ProjectError: it was not; names the command that trains such a model.
        """
        for name, statistic in self.statistics.items():
            lacking = sorted(statistic.terms - self.fit.recipe.get("terms", {}).keys())
            if lacking:
                raise ProjectError(
                    f"The statistic '{name}' reads the term '{lacking[0]}'; the newest model was trained without it.",
                    where=str(self.project.folder),
                    next_step=f'Add a table [terms."{lacking[0]}"] to the recipe and run '
                    f"`labelgrid fit {self.project.folder}`.",
                    unchanged="Nothing was scored.",
                )

    def _members(self) -> dict[str, MemberRecord]:
        """The members that were trained beside the model, by name."""
        return read_members(self.project.round_folder(self.fit.round))

    def _members_stamp(self) -> dict[str, str]:
        """The entry of the stamp for the model's members; none without members."""
        members = self._members()
        return {"members": hash_of({name: member.model for name, member in members.items()})} if members else {}

    def _train_member(self, name: str) -> TrainedModel:
        """Train another network on the same labels under its own seed, or resume its training."""
        return train_member(self.context, self.project, self.fit, name, self.progress)


def score(project: ProjectFolder, progress: Progress, strategy: str = "") -> Table:
    """Compute the statistics that the strategy needs for the images of the pool, with the newest model.

    A killed run resumes where it stopped. The table is stamped with model, recipe and pool.

    Raises:
        ProjectError: there is no model yet, or it was trained without a term that is needed.
    """
    name, chosen = strategy_of(project, strategy)
    fit = latest(project)
    if fit is None:
        raise ProjectError(
            "There is no model to score with yet.",
            where=str(project.folder),
            next_step="Run `labelgrid fit` first; without any label, `labelgrid query` picks at random.",
            unchanged="Nothing was scored.",
        )
    if not chosen.needs:
        progress.say(f"Strategy '{name}' needs no scores: nothing was done.")
        return Table([], {}, tuple(project.tasks()), {}, {})
    return PoolScorer(project, fit, chosen, progress).scored(project.round_number, project.store.grid())


def scoring_job(
    context: RoundContext, model: TrainedModel, statistics: Mapping[str, Statistic], stamp: Mapping[str, str]
) -> ScoringJob:
    """The description of a pass over the pool with a restored model."""
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
