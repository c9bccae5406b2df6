"""Scores the pool with the predictions of a network outside the program, in place of a training."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from labelgrid.basics.errors import ModelError, command
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.frame import Frame
from labelgrid.data.loader import OnFault
from labelgrid.ledger.grid import Split, State
from labelgrid.nets.network import Network, Raw
from labelgrid.operations.status import headlines
from labelgrid.project.declaration_changes import target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.records import Fit
from labelgrid.rounds.context import RoundContext, context_of, labelled_images
from labelgrid.rounds.model_record import record_measurement, record_model
from labelgrid.rounds.own_model.outside_arrays import FEATURES
from labelgrid.rounds.own_model.outside_predictions import OutsidePredictions
from labelgrid.rounds.pool_scorer import PoolScorer, ScoredImages, empty_table
from labelgrid.rounds.protocol import WHOLE, Protocol
from labelgrid.rounds.round_scores import RoundScores, strategy_of
from labelgrid.score.pool import Explaining, ScoringJob
from labelgrid.score.statistic import PoolBatch
from labelgrid.score.table import Table
from labelgrid.train.evaluation import Evaluation, blocks_of, evaluate_outputs
from labelgrid.train.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class OutsideJob(ScoringJob):
    """A pass over the pool whose batches come from files of predictions."""

    predictions: OutsidePredictions

    @property
    def reads_labels(self) -> bool:
        """True, since without a network nothing tells that labels change no value."""
        return True

    def batches(
        self, image_ids: Sequence[str], on_fault: OnFault | None = None
    ) -> Iterator[PoolBatch]:
        """As `ScoringJob.batches`; every file was checked before."""
        return map(self.with_supplier_labels, self.predictions.batches(image_ids))


@dataclass(frozen=True)
class OutsideScorer(PoolScorer):
    """Scores a project's pool with predictions that another program wrote.

    Args:
        opened: the predictions of the record, if they have just been opened.
    """

    opened: OutsidePredictions | None = None

    @property
    def reads_ahead(self) -> bool:
        """Whether images are read before they are scored: yes, all files are checked together."""
        return True

    @cached_property
    def model(self) -> TrainedModel:
        """A model without a network; its statistics read predictions alone."""
        return TrainedModel(network=Network(), trained=frozenset(self.fit.trained))

    @cached_property
    def predictions(self) -> OutsidePredictions:
        """The predictions that were recorded.

        Raises:
            ModelError: their folder is gone, or they have changed.
        """
        folder = Path(self.fit.predictions)
        if self.opened:
            return self.opened
        if folder.is_dir():
            predictions = OutsidePredictions.of(folder, self.context)
            if predictions.files.digest() == self.fit.model:
                return predictions
        raise ModelError(
            f"The predictions with which round {self.fit.round} was scored are no longer there, "
            "or have changed.",
            where=folder,
            next_step=f"Run `{command('score', self.project.folder, '--predictions', 'FOLDER')}`.",
            unchanged="Nothing was scored.",
        )

    def check_model(self) -> None:
        """Check that the files hold the arrays for the statistics.

        Raises:
            ModelError: they do not.
        """
        self.predictions.check_statistics(self.statistics)

    def _say_which_model(self, number: int) -> None:
        if self.fit.round != number:
            self.progress.say(
                f"Scoring with the predictions of round {self.fit.round}: this round has none yet."
            )

    def needed(self, images: ScoredImages) -> list[str]:
        """The images whose files are read to score."""
        return [*images.pool, *set(self._explain(images).images).difference(images.pool)]

    def _job(self, images: ScoredImages, folder: Path) -> ScoringJob:
        self.predictions.check(self.needed(images), self.progress)
        return OutsideJob(
            model=self.model,
            tasks=self.context.tasks,
            definitions=self.context.definitions,
            source=self.context.source,
            data=self.context.recipe.data,
            statistics=self.statistics,
            stamp=self.scores.stamp,
            predictions=self.predictions,
            supplier_labels=self.supplier_labels,
        )

    def _explain(self, images: ScoredImages) -> Explaining:
        """The explaining statistics that the files suffice for."""
        explaining = super()._explain(images)
        statistics = dict(explaining.statistics)
        if FEATURES not in self.predictions.shapes:
            statistics.pop(FEATURES, None)
        if not statistics:
            return Explaining()
        predicted = [image_id for image_id in explaining.images if self.predictions.has(image_id)]
        return Explaining(statistics, predicted, explaining.stamp)

    def batches(self, context: RoundContext, image_ids: Sequence[str]) -> Iterator[PoolBatch]:
        """As `PoolScorer.batches`; no label is fed in."""
        return self.predictions.batches(image_ids)

    def outputs(
        self, context: RoundContext, image_ids: Sequence[str]
    ) -> Iterator[tuple[str, Raw, Frame]]:
        """As `PoolScorer.outputs`; no label is fed in."""
        return self.predictions.outputs(image_ids, self.progress)


def score_predictions(
    project: ProjectFolder, folder: Path, progress: Progress, strategy: str = ""
) -> Table:
    """Score the pool with the predictions in a folder, and measure them on the held-out images.

    The folder takes the place of the round's training until the next one, or another folder.

    Raises:
        LabelgridError: a file is missing or wrong, or a statistic that the strategy needs is not
            computed from predictions. Nothing was changed.
    """
    folder = folder.absolute()
    _, chosen = strategy_of(project, strategy)
    context = context_of(project)
    predictions = OutsidePredictions.of(folder, context)
    fit = _record(project, context, predictions)
    scorer = OutsideScorer(RoundScores(project, fit, chosen), progress, predictions)
    grid = project.store.grid()
    images = scorer.images(grid)
    heldout = _heldout(project, predictions, progress)
    predictions.check([*scorer.needed(images), *heldout], progress)
    scorer.check_model()  # after the arrays: a wrong shape looks like too few passes
    project.open_round()
    record_model(project, fit)
    result = measure_predictions(predictions, heldout, progress) if heldout else None
    outputs = partial(predictions.outputs, progress=Silent())
    record_measurement(context, fit, result, outputs)
    tasks = join_names(predictions.trained)
    progress.say(
        f"Round {fit.round}: predictions of {tasks}; {count_text(len(heldout), 'held-out image')} "
        "measured."
    )
    if result:
        for headline in headlines(project):
            progress.say(str(headline))
    if not chosen.needs:
        return empty_table(project)
    return scorer.scored(fit.round, grid)


def _record(project: ProjectFolder, context: RoundContext, predictions: OutsidePredictions) -> Fit:
    """The record of the predictions, with the labels that the network may have learnt from."""
    rows = project.store.cells(state=State.LABELLED, splits=("train", "val"))
    labels = Counter(row.cell.task for row in rows)
    return Fit(
        round=project.round_number,
        checkpoint="",
        model=predictions.files.digest(),
        recipe=json.loads(context.recipe.json()),
        seed=context.seed,
        trained=predictions.trained,
        images=len({row.cell.image_id for row in rows}),
        labels=dict(labels),
        spent=project.store.spent(("train", "val")),
        tasks=target_declarations(context.definitions),
        predictions=str(predictions.files.folder),
    )


def _heldout(
    project: ProjectFolder, predictions: OutsidePredictions, progress: Progress
) -> list[str]:
    image_ids = usable_images(project, labelled_images(project, "heldout"), progress)
    if any(map(predictions.has, image_ids)):
        return image_ids
    if image_ids:
        progress.say("Nothing is measured: no file is of a held-out image with a label.")
    return []


def evaluate_recorded(
    project: ProjectFolder, fit: Fit, split: Split, progress: Progress, protocol: Protocol
) -> Evaluation | None:
    """Measure recorded predictions on a split, as `evaluate.evaluate_split` does a network.

    None if the split has no label.

    Raises:
        LabelgridError: they have changed, or lack an image with a label.
    """
    scorer = OutsideScorer(RoundScores(project, fit, strategy_of(project)[1]), progress)
    image_ids = usable_images(project, labelled_images(project, split), progress)
    result = None
    if image_ids:
        scorer.predictions.check(image_ids, progress)
        result = measure_predictions(scorer.predictions, image_ids, progress, protocol)
    if split == "heldout" and protocol.is_whole:
        outputs = partial(scorer.predictions.outputs, progress=Silent())
        record_measurement(scorer.context, fit, result, outputs)
    return result


def measure_predictions(
    predictions: OutsidePredictions,
    image_ids: Sequence[str],
    progress: Progress,
    protocol: Protocol = WHOLE,
) -> Evaluation:
    """Measure predictions on the labelled pixels counted by `protocol`.

    Raises:
        LabelError: a file cannot be read.
    """
    context = predictions.context
    progress.start("Evaluating", len(image_ids), "images")
    return evaluate_outputs(
        predictions.outputs(image_ids, progress),
        protocol.tasks(context.tasks, context.definitions),
        definitions=context.definitions,
        source=protocol.source(context.source, context.definitions),
        blocks=blocks_of(image_ids, context.project.group_of),
        objective=context.recipe.objective,
    )
