"""Runs a query: scores the pool if needed, chooses cells, requests them, and writes previews.

Torch is loaded only to score or to write previews.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import ProjectError, command
from labelgrid.ledger.grid import Grid, State
from labelgrid.progress import Progress, Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import apply_learned_costs
from labelgrid.project.records import PREVIEWS, Fit, announce_previews, pending_previews
from labelgrid.project.unusable_images import find_unusable_images, images_without_files
from labelgrid.recipes.resolve import hash_of, resolved_options
from labelgrid.rounds import pending
from labelgrid.rounds.choose import (
    Choice,
    QueryResult,
    choose,
    repeated_result,
    request,
    unspent_budget,
)
from labelgrid.rounds.history import history_of
from labelgrid.rounds.round_scores import FEATURES, RoundScores, scoring_model, strategy_of
from labelgrid.score.table import Table
from labelgrid.select.budget import check_budget, pool_size
from labelgrid.select.explain import nearest_labelled_images
from labelgrid.select.strategy import Budget, PoolView, Strategy
from labelgrid.streams import seed_of
from labelgrid.words import count_text

if TYPE_CHECKING:
    from labelgrid.rounds.score import PoolScorer

#: The strategy before there is a model.
COLD = "random_images"


def query(
    project: ProjectFolder,
    budget: Budget,
    progress: Progress,
    *,
    strategy: str = "",
    dry_run: bool = False,
    new: bool = False,
    prelabels: bool = True,
    pictures: bool | None = None,
) -> QueryResult:
    """Pick missing cells worth at most the budget, request them, close the round, and write previews of the picks.

    What an earlier budget in the same unit left over, because no further pick fitted, is added to
    this one.

    A query that repeats the last one requests nothing (see `choose.repeated`) and writes the
    previews that are missing. Previews that an earlier query was stopped before are written first,
    whatever has been answered since.

    Args:
        project: the project.
        budget: the most that the picks may take.
        progress: receives the progress.
        strategy: replaces the strategy of the settings.
        dry_run: request and write nothing; show what the query would do.
        new: request further cells even if the query repeats the last one.
        prelabels: write the model's prediction of each pick as a label file.
        pictures: write pictures of the first picks; None: as `prelabels`.

    Raises:
        LabelgridError: the budget buys nothing or is larger than the pool, or the scores are stale.
    """
    _refuse_unfinished(project)
    asked, chosen = strategy_of(project, strategy)
    scored = scoring_model(project, chosen)
    fit = scored if scored and scored.checkpoint else None
    name, chosen = strategy_of(project, COLD) if chosen.needs and not scored else (asked, chosen)
    wanted = (prelabels, prelabels if pictures is None else pictures)
    previews = [name for name, wish in zip(PREVIEWS, wanted, strict=True) if fit and wish]
    job = _Query(
        project=project,
        name=name,
        strategy=chosen,
        scores=RoundScores(project, scored, chosen) if scored else None,
        progress=progress,
    )
    if not dry_run:
        for number in range(1, project.round_number):
            if names := pending_previews(project.round_folder(number)):
                pending.complete(project, number, names, progress)
    result = None if new else repeated_result(project, name, budget, job.key)
    if result:
        progress.say(
            f"Round {result.round} requested these cells already with the same model, strategy and budget; none of "
            f"them has an answer yet. Nothing new {'would be' if dry_run else 'was'} requested; `--new` requests "
            "further cells."
        )
    else:
        result = job.run(budget, asked, None if dry_run else previews)
    if not dry_run and previews:
        pending.write(job.scorer, result.round, previews)
    return result


@dataclass(frozen=True, kw_only=True)
class _Query:
    """A query: which strategy picks, and which scores it needs (None: there is no model)."""

    project: ProjectFolder
    name: str
    strategy: Strategy
    scores: RoundScores | None
    progress: Progress

    @cached_property
    def scorer(self) -> "PoolScorer":
        """The scorer; it restores the model once."""
        from labelgrid.rounds.score import PoolScorer

        assert self.scores is not None
        return PoolScorer(self.scores, self.progress)

    @property
    def key(self) -> str:
        """The ledger's key of the strategy's calibration."""
        options = self.scores.options if self.scores and self.strategy.needs else {}
        return calibration_key(self.project, self.name, self.strategy, options)

    def run(self, budget: Budget, asked: str, previews: Sequence[str] | None) -> QueryResult:
        """Choose the cells and request them; `asked` is the strategy that the user named.

        `previews` are those that will follow the request; None: nothing is requested.
        """
        project = self.project
        needed = self.scores if self.strategy.needs else None
        stamp = project.store.pool_hash()
        grid = project.store.grid()
        number = project.round_number
        if project.settings.costs == "times":
            grid = apply_learned_costs(project, grid, self.progress)
        check_budget(budget, grid)
        if self.name != asked:
            self.progress.say(
                f"There is no model yet, so '{asked}' has no scores: picking images at random."
            )
        _warn_of_open_requests(project, self.progress)
        earlier = needed.fresh(number) if needed else None
        table = earlier or (self.scorer.scored(number, grid) if needed else None)
        key = self.key
        unscored = _unscored(table, grid)
        if unscored and earlier:  # else scoring has just warned of them
            self.progress.say(
                f"{count_text(len(unscored), 'image has', 'images have')} no scores: files could not be read then. "
                "They are not picked. If the files are back, `labelgrid score` scores them."
            )
        choice = self._choice(number, grid, gone=unscored, table=table, key=key, budget=budget)
        _say_calibrated_anew(project, key, choice, self.progress)
        if previews is not None:
            choice = self._with_nearest(choice, grid, table)
            announce_previews(project.round_folder(number), previews)
            request(project, choice, budget=budget, stamp=stamp, key=key)
        return choice.result

    def _with_nearest(self, choice: Choice, pool: Grid, table: Table | None) -> Choice:
        """The choice with the nearest labelled image of each pick, if its features were computed with the scores."""
        try:
            found = (
                self.scores.features(choice.result.round, table) if self.scores and table else None
            )
        except ProjectError as error:
            self.progress.say(
                f"The picks are not explained by the nearest labelled images. {error.what} {error.where}"
            )
            found = None
        if not found:
            return choice
        picked = {pick.cell.image_id for pick in choice.result.picks}
        labelled = np.any(pool.state == State.LABELLED, axis=1).tolist()
        grid = pool.without(
            {image for image, used in zip(pool.images, labelled, strict=True) if not used} - picked
        )
        nearest = nearest_labelled_images(
            found.aligned(grid.images)[FEATURES], grid, choice.result.picks
        )
        records = [
            replace(
                record, explanation=replace(record.explanation, nearest=image, distance=distance)
            )
            if image
            else record
            for record, (image, distance) in zip(choice.records, nearest, strict=True)
        ]
        return replace(choice, records=records)

    def _choice(
        self,
        number: int,
        pool: Grid,
        gone: frozenset[str],
        table: Table | None,
        key: str,
        budget: Budget,
    ) -> Choice:
        """Choose cells of images whose files can be read: where one cannot, it is set aside, and all are chosen again.

        Args:
            number: of the round.
            pool: the cells.
            gone: the images that are set aside already.
            table: the scores.
            key: of the strategy's calibration.
            budget: the most that the picks may take.

        Raises:
            LabelgridError: the budget is larger than what is left of the pool.
        """
        project = self.project
        found = frozenset[str]()
        left = unspent_budget(project, budget.unit)
        if left:
            self.progress.say(
                f"Added to the budget: {left:g} {budget.unit} that earlier queries did not spend."
            )
        while True:
            grid = pool.without(gone)
            check_budget(budget, grid, len(gone))
            whole = Budget(min(budget.amount + left, pool_size(grid, budget.unit)), budget.unit)
            view = PoolView(
                grid=grid,
                statistics=_statistics(table, self.scores.fit, grid)
                if table and self.scores
                else {},
                seed=seed_of(project.settings.seed, "select", number),
                calibration=project.store.get(key, {}),
                read_history=partial(history_of, project.folder),
            )
            choice = choose(
                self.name,
                self.strategy,
                number=number,
                pool=view,
                budget=whole,
                progress=self.progress,
            )
            faulty = find_unusable_images(
                project, {pick.cell.image_id for pick in choice.result.picks}, Silent()
            )
            if not faulty:
                return choice
            if not found:  # of the other images, missing files are noticed, too
                faulty |= images_without_files(project, grid.images)
            found = find_unusable_images(project, faulty, self.progress)
            gone |= found


def _unscored(table: Table | None, grid: Grid) -> frozenset[str]:
    """The images with missing cells that have no scores: they were set aside when the pool was scored."""
    if table is None:
        return frozenset()
    scored = set(table.images)
    return frozenset(
        image
        for row in np.flatnonzero(grid.eligible.any(1)).tolist()
        if (image := grid.images[row]) not in scored
    )


def _refuse_unfinished(project: ProjectFolder) -> None:
    """Refuse a query while the round has an unfinished training: closing the round would discard it."""
    folder = project.round_folder(project.round_number)
    if (folder / "fit").exists() and not (folder / "fit.json").exists():
        raise ProjectError(
            "This round's training was stopped before its end; a query would close the round without it.",
            where=str(folder / "fit"),
            next_step=f"Run `{command('fit', project.folder)}` to resume it, or remove that folder to discard it.",
            unchanged="Nothing was requested.",
        )


def _warn_of_open_requests(project: ProjectFolder, progress: Progress) -> None:
    """Warn of open requests: a second query may be intended, or a mistake (after a kill, say)."""
    requested = sum(count.requested for count in project.store.counts(("train",)).values())
    if requested:
        requests = count_text(
            requested, "request of earlier rounds is", "requests of earlier rounds are"
        )
        progress.say(f"{requests} still open; the new picks are added to them.")


def _statistics(table: Table, fit: Fit, grid: Grid) -> dict[str, NDArray[Any]]:
    """The statistics at the grid's rows; NaN for tasks whose head is untrained.

    Raises:
        ProjectError: a required value is not finite. (Picking such cells at random would hide the
            fault.)
    """
    untrained = np.array([task not in fit.trained for task in grid.tasks])
    statistics = table.aligned(grid.images)
    for name, values in statistics.items():
        if table.axes[name] == "cell":
            statistics[name] = np.where(untrained, np.nan, values)
            wrong = int((~np.isfinite(values) & grid.eligible & ~untrained).sum())
            unit = ("cell of a trained task has", "cells of trained tasks have")
        else:
            sums = values if values.ndim == 1 else values.sum(1, dtype=np.float64)
            scored = set(table.images)
            rows = np.fromiter(
                (image_id in scored for image_id in grid.images), np.bool_, len(grid.images)
            )
            wrong = int((~np.isfinite(sums) & rows).sum())
            unit = ("scored image has", "scored images have")
        if wrong:
            raise ProjectError(
                f"{count_text(wrong, *unit)} no finite '{name}'.",
                where=str(fit.checkpoint),
                next_step="Train again, with a lower learning rate or `clip`, then score again.",
                unchanged="Nothing was requested.",
            )
    return statistics


def calibration_key(
    project: ProjectFolder, name: str, strategy: Strategy, options: Mapping[str, Mapping[str, Any]]
) -> str:
    """The ledger's key of a strategy's calibration.

    It changes with the options of the strategy and of its statistics.

    Options at their defaults count: a calibration of values that another default gave is not used.

    Args:
        project: its settings hold the strategy's options.
        name: the strategy's name.
        strategy: declares the statistics that it needs.
        options: the [score] tables that score.
    """
    chosen = project.settings.strategy
    own = resolved_options("strategies", [name], {chosen.name: chosen.options})
    return f"fixed/{name}/{hash_of(resolved_options('statistics', strategy.needs, options), own)}"


def _say_calibrated_anew(
    project: ProjectFolder, key: str, choice: Choice, progress: Progress
) -> None:
    """Say so if the strategy calibrates its scores although it picked in earlier rounds, with other options."""
    name = choice.result.strategy
    before = [
        row.number
        for row in project.store.rounds()
        if row.state == "closed" and row.strategy == name
    ]
    if choice.calibration and before and project.store.get(key, None) is None:
        progress.say(
            f"'{name}' calibrates its scores again: their options, or the defaults of these, changed since round "
            f"{before[-1]}. They do not compare with those of earlier rounds."
        )
