"""Computes the statistics of the pool with a round's trained network."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ImageError, ProjectError, UsageError, command
from labelgrid.basics.files import remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Values
from labelgrid.data.frame import Frame
from labelgrid.data.project_source import ProjectSource
from labelgrid.data.supplied_source import MostTrusted
from labelgrid.executors.passes import Pass, PassPart
from labelgrid.executors.workplace import IN_THIS_PROCESS, JOBS, Workplace
from labelgrid.ledger.grid import Grid
from labelgrid.nets.network import Raw
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import (
    note_unusable_images,
    unusable_objects,
    usable_images,
)
from labelgrid.project.records import Fit, MemberRecord, read_members
from labelgrid.recipes.recipe import Recipe
from labelgrid.rounds.context import (
    RoundContext,
    context_for_recipe,
    labelled_images,
    tasks_by_image,
    training_context,
)
from labelgrid.rounds.members import MemberOrder, member_pass, train_member
from labelgrid.rounds.models import restore_model, untrained_model
from labelgrid.rounds.round_scores import RoundScores, terms_of
from labelgrid.rounds.shard_scorer import (
    PoolFiles,
    ScoringOrder,
    build_statistics,
    score_ordered,
)
from labelgrid.score.fit_statistics import FitImages, fit_statistics
from labelgrid.score.pool import (
    Explaining,
    ScoringJob,
    pool_batches,
    pool_shards,
    score_shards,
    scoring_pass,
)
from labelgrid.score.shards import PoolShard, PoolShards
from labelgrid.score.statistic import PoolBatch, Statistic, TrainedStatistic
from labelgrid.score.table import Table
from labelgrid.suppliers.supplied import supplied_by_task
from labelgrid.train.evaluation import predictions
from labelgrid.train.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class ScoredImages:
    """The ids of the images that a scoring reads.

    Args:
        pool: the images to score.
        missing: the images with a missing cell.
        labelled: the images with a label.
        faults: why further images cannot be used, by id.
    """

    pool: Sequence[str]
    missing: Sequence[str]
    labelled: Sequence[str]
    faults: Mapping[str, str]

    @property
    def example(self) -> Sequence[str]:
        """The image whose shape sets the layer sizes, as in `FitImages.example`."""
        return (self.missing or self.labelled)[:1]


@dataclass(frozen=True)
class PoolScorer:
    """Scores a project's pool with a trained model. The model is restored once, on first use.

    Args:
        scores: the scores of the round: the model, the tables and their folder.
        progress: receives the progress.
    """

    scores: RoundScores
    progress: Progress

    @property
    def project(self) -> ProjectFolder:
        """The project with the pool."""
        return self.scores.project

    @property
    def fit(self) -> Fit:
        """The record of the training whose model scores."""
        return self.scores.fit

    @cached_property
    def recipe(self) -> Recipe:
        """The current recipe of the project or of the training."""
        name = self.fit.named or self.project.settings.recipe
        return parse(Recipe, self.scores.tables, f"recipe {name}")

    @cached_property
    def context(self) -> RoundContext:
        """The context with the training's recipe and the current [score] tables."""
        context = context_for_recipe(self.project, self.recipe)
        return training_context(context, self.fit, self.recipe.score)

    @cached_property
    def model(self) -> TrainedModel:
        """The trained model; the untrained one if the record has no checkpoint."""
        if not self.fit.checkpoint:
            return untrained_model(self.context, self.progress)
        return restore_model(self.context, self.fit)

    @cached_property
    def statistics(self) -> dict[str, Statistic]:
        """The statistics that the strategy needs, by name."""
        return build_statistics(self._options(self.scores.strategy.needs), self.fit.seed)

    def _options(self, names: Collection[str]) -> dict[str, Values]:
        return {name: self.scores.options.get(name, {}) for name in sorted(names)}

    @property
    def reads_ahead(self) -> bool:
        """Whether statistics are trained on images before the scoring."""
        return any(
            isinstance(statistic, TrainedStatistic) for statistic in self.statistics.values()
        )

    def scored(self, number: int, grid: Grid, workplace: Workplace = IN_THIS_PROCESS) -> Table:
        """Score the round's pool; a killed run resumes where it stopped.

        Args:
            number: the number of the round.
            grid: the cells.
            workplace: where the pool is scored, and in which shards.

        Returns:
            The scores; no images if only a share was scored.

        Raises:
            ProjectError: the model was trained without a term that a statistic reads, or shards
                could not be scored.
            ImageError: no image can be read.
            UsageError: the model's scores cannot be computed elsewhere.
        """
        self.check_model()
        self._say_which_model(number)
        images = self.images(grid)
        folder = self.scores.folder(number)
        explaining = self._explain(images)
        if self.reads_ahead and not workplace.share.is_all:
            raise self._not_elsewhere("statistics are trained first, which shares would repeat")
        job = None
        stamp = {**self.scores.stamp, **self.scores.members_stamp()}
        if workplace.executor is None or self.reads_ahead:
            self._train_members(workplace, folder)
            job = self._job(images, folder)
            stamp = dict(job.stamp)
        shards = pool_shards(
            images.pool,
            explaining,
            folder=folder,
            size=workplace.size(len(images.pool)),
            statistics=self.statistics,
            stamp=stamp,
        )
        if not workplace.shard:
            shards = replace(shards, size=shards.kept_size() or shards.size)
        if workplace.executor is not None:
            parts = [replace(shard, path=shard.path.absolute()) for shard in shards]
            if not self._scoring(shards, images).run(parts, workplace, self.progress):
                return empty_table(self.project)
        elif job is not None:
            score_shards(job, explaining, shards, self.progress)
        return self._joined(shards, images)

    def _joined(self, shards: PoolShards, images: "ScoredImages") -> Table:
        """The table of all shards; images that could not be read are noted."""
        joined = shards.join()
        remove_folder(shards.folder / JOBS)
        read = [*shards.pool, *shards.further, *images.faults]
        faults = {**images.faults, **joined.faults}
        note_unusable_images(self.project, read, faults, self.progress)
        if images.missing and set(images.missing).isdisjoint(joined.table.images):
            remove_folder(shards.folder)
            raise self._unreadable(len(images.missing))
        return joined.table

    def _scoring(self, shards: PoolShards, images: "ScoredImages") -> Pass[PoolShard]:
        """The pass over the shards in processes without the ledger."""
        source = self.context.source
        if not isinstance(source, ProjectSource) or self.fit.predictions:
            raise self._not_elsewhere("its images are a data set's, or its model is predictions")
        example = images.example if self.reads_ahead else ()
        tasks = tuple(self.project.store.tasks())
        order = ScoringOrder(
            folder=self.project.folder.absolute(),
            features=self.project.features.absolute(),
            encoders=self.project.encoders.absolute(),
            tasks=tasks,
            recipe=self.context.recipe,
            fit=self.fit,
            members=self._members(),
            weights=self.project.weights(),
            statistics=self._options(self.scores.strategy.needs),
            explaining=self._options(shards.explaining),
            trained=shards.folder.absolute(),
            example=example,
        )
        names = [task.name for task in tasks]
        files = PoolFiles(source, self.supplier_labels, names, example)
        return scoring_pass(
            shards, source, score_ordered, lambda shard: (order, files.of(shard.items))
        )

    def _not_elsewhere(self, why: str) -> UsageError:
        return UsageError(
            f"This pool is scored in one process only: {why}.",
            where=self.project.folder,
            next_step=f"Run `{command('score', self.project.folder)}` without --on and --workers.",
            unchanged="Nothing was scored.",
        )

    def images(self, grid: Grid) -> "ScoredImages":
        """The images to score; if statistics are trained first, only readable images.

        Raises:
            ImageError: no image can be read.
        """
        missing = [str(grid.images[row]) for row in np.flatnonzero(grid.eligible.any(1)).tolist()]
        labelled = labelled_images(self.project, "train")
        pool = missing
        if any(statistic.scope == "all" for statistic in self.statistics.values()):
            pool = list(grid.images)
        image_ids = list(dict.fromkeys([*pool, *labelled]))
        usable = set(image_ids)
        faults = {}
        if self.reads_ahead:
            usable = set(usable_images(self.project, image_ids, self.progress))
        else:  # files are read once, when they are scored
            faults = unusable_objects(self.project, image_ids, self.progress)
            usable -= faults.keys()
        if missing and usable.isdisjoint(missing):
            raise self._unreadable(len(missing))
        return ScoredImages(
            pool=[image_id for image_id in pool if image_id in usable],
            missing=[image_id for image_id in missing if image_id in usable],
            labelled=[image_id for image_id in labelled if image_id in usable],
            faults=faults,
        )

    def _job(self, images: "ScoredImages", folder: Path) -> ScoringJob:
        members = self._members()
        fit_images = FitImages(
            labelled=images.labelled,
            pool=images.missing,
            seed=self.fit.seed,
            train_member=partial(train_member, self.context, self.fit, progress=self.progress),
            objective=self.context.recipe.objective,
        )
        job = scoring_job(self.context, self.model, self.statistics, self.scores.stamp)
        job = replace(
            job,
            supplier_labels=self.supplier_labels,
            leaves_out=not self.project.settings.oracle,  # a data set is whole
        )
        job = fit_statistics(job, fit_images, folder, self.progress)
        if self._members() != members:  # a statistic trained one
            job = replace(job, model=restore_model(self.context, self.fit))
        return replace(job, stamp={**job.stamp, **self.scores.members_stamp()})

    @cached_property
    def supplier_labels(self) -> MostTrusted | None:
        """The labels of suppliers that statistics read; None if none reads any."""
        if self.scores.suppliers is None:
            return None
        context = self.context
        labelled_tasks = tasks_by_image(context.source.labels)
        labelled = {}
        for row in self.project.store.images(("train",)):
            labelled[row.image_id] = labelled_tasks.get(row.image_id, frozenset[str]())
        supplied = supplied_by_task(
            self.project,
            self.scores.suppliers,
            source=context.source,
            tasks=context.definitions,
            labelled=labelled,
        )
        return MostTrusted(supplied, context.definitions, labelled)

    def _explain(self, images: "ScoredImages") -> Explaining:
        if not self.scores.explaining:
            return Explaining()
        options = self._options(self.scores.explaining)
        statistics = build_statistics(options, self.fit.seed)
        return Explaining(statistics, images.labelled, self.scores.explaining_stamp)

    def batches(self, context: RoundContext, image_ids: Sequence[str]) -> Iterator[PoolBatch]:
        """The batches of images that statistics get, with the labels of `context` in use."""
        job = scoring_job(context, self.model, {}, {})
        return pool_batches(job.without_idle_labels(), image_ids)

    def outputs(
        self, context: RoundContext, image_ids: Sequence[str]
    ) -> Iterator[tuple[str, Raw, Frame]]:
        """The images' raw outputs as `train.evaluate.predictions`, with the labels of `context`."""
        return predictions(
            self.model,
            context.definitions,
            source=context.source,
            image_ids=image_ids,
            data=context.recipe.data,
            feed_known=scoring_job(context, self.model, {}, {}).reads_labels,
            progress=self.progress,
        )

    def _say_which_model(self, number: int) -> None:
        if not self.fit.checkpoint:
            self.progress.say(
                "There is no model yet: scoring with the encoder's features before the first "
                "training."
            )
        elif self.fit.round != number:
            self.progress.say(
                f"Scoring with the network of round {self.fit.round}: this round has no network "
                "yet."
            )

    def _unreadable(self, count: int) -> ImageError:
        add = command("add", self.project.folder, "--images", "NEW-PLACE")
        return ImageError(
            f"No image can be read of the {count} whose labels are missing.",
            where=self.project.folder,
            next_step=f"Put their files back; if the folder was moved, `{add}` finds them again.",
            unchanged="Nothing was scored.",
        )

    def check_model(self) -> None:
        """Check that the model was trained with all terms of the statistics.

        Raises:
            ProjectError: the model was not trained so; names the command that trains such a model.
        """
        for name in self.statistics:
            lacking = sorted(terms_of(name) - self.fit.recipe.get("terms", {}).keys())
            if lacking:
                raise ProjectError(
                    f"The statistic '{name}' reads the term '{lacking[0]}'; the newest model was "
                    "trained without it.",
                    where=self.project.folder,
                    next_step=f'Add a table [terms."{lacking[0]}"] to the recipe and run '
                    f"`{command('fit', self.project.folder)}`.",
                    unchanged="Nothing was scored.",
                )

    def _members(self) -> dict[str, MemberRecord]:
        return read_members(self.project.round_folder(self.fit.round))

    def _train_members(self, workplace: Workplace, folder: Path) -> None:
        """Train the members of the statistics elsewhere, if there is a place."""
        names = set[str]()
        for statistic in self.statistics.values():
            if isinstance(statistic, TrainedStatistic):
                names |= {*statistic.members}
        if workplace.executor is None or names <= self._members().keys():
            return
        order = MemberOrder(
            folder=self.project.folder.absolute(),
            roster=self.project.store.known_roster(),
            recipe=self.recipe,
            fit=self.fit,
            threads=workplace.threads,
        )
        parts = [PassPart(items=[name]) for name in sorted(names)]
        training = member_pass(self.project, order, folder / JOBS / "members")
        training.run(parts, workplace, self.progress)


def empty_table(project: ProjectFolder) -> Table:
    """The table of a strategy that needs no scores."""
    return Table(images=[], statistics={}, tasks=tuple(project.tasks()), stamp={}, axes={})


def scoring_job(
    context: RoundContext,
    model: TrainedModel,
    statistics: Mapping[str, Statistic],
    stamp: Mapping[str, str],
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
