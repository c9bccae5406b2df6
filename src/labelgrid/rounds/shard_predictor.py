"""Predicts shards of images anywhere: from files and settings, without the project's ledger."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from labelgrid.basics.processes import set_threads
from labelgrid.basics.progress import Progress
from labelgrid.basics.version import __version__
from labelgrid.data.loader import UnreadableImage
from labelgrid.executors.passes import Pass, Shard, Stamped
from labelgrid.images.places import chosen_paths, file_versions
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.records import Fit
from labelgrid.project.sources import ImageFiles
from labelgrid.recipes.resolve import hash_of
from labelgrid.recipes.schema import Recipe
from labelgrid.relations.bound import bind_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.rounds.context import ModelContext
from labelgrid.rounds.derived_predictions import Derived, derived_tasks
from labelgrid.rounds.kept_model import KEPT, model_key
from labelgrid.rounds.models import restore_trained
from labelgrid.rounds.prediction_writer import PredictionWriter
from labelgrid.rounds.predictor import Predictor, tasks_with_heads
from labelgrid.rounds.shard_scorer import THREADS
from labelgrid.tasks.task import definitions

#: The module that processes load before they predict shards.
PRELOADED = __name__
#: The folder beside the predictions with the records of shards, until all are done.
FOLDER = ".shards"


@dataclass(frozen=True, kw_only=True)
class PredictedShard(Stamped):
    """What a shard's record says; the stamp is of model, settings, images and version.

    Args:
        written: the number of label files.
        faults: why images could not be read, by id.
    """

    written: int
    faults: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PredictionOrder:
    """All that predictions depend on, beside the images.

    Args:
        folder: the project's, where the checkpoint is.
        tasks: as the ledger has them.
        recipe: of the training.
        relations: those that may derive predictions.
        which: of which tasks predictions are derived.
        fit: the record of the training.
        known: whether known labels are fed in.
        out: the folder for the predictions.
        soft: also write soft predictions.
        overlay: also draw the photographs.
    """

    folder: Path
    tasks: tuple[TaskRow, ...]
    recipe: Recipe
    relations: Mapping[str, RelationChoice]
    which: Derived
    fit: Fit
    known: bool
    out: Path
    soft: bool
    overlay: bool

    @property
    def identity(self) -> str:
        """A hash of all that changes a prediction, or which files are written."""
        relations = {name: asdict(choice) for name, choice in self.relations.items()}
        switches = [self.which, self.known, self.soft, self.overlay, __version__]
        tasks = [asdict(row) for row in self.tasks]
        settings = {"relations": relations, "tasks": tasks, "switches": switches}
        return hash_of(self.fit.model, json.loads(self.recipe.json()), settings)

    def write(
        self, source: ImageFiles, image_ids: Sequence[str], progress: Progress
    ) -> tuple[int, dict[str, str]]:
        """Write the predictions of images.

        Returns:
            The number of label files, and why other images could not be read, by id.
        """
        tasks = definitions(self.tasks)
        context = ModelContext.of_training(self.recipe, tasks, self.fit.seed)
        derived = derived_tasks(bind_relations(self.relations, tasks), self.fit.trained, self.which)
        heads = tasks_with_heads(tasks, self.fit, derived)
        with_heads = ModelContext.of_training(self.recipe, heads, self.fit.seed)
        further = str(self.folder), list(heads)
        key = model_key(self.fit, self.recipe, self.tasks, *further)
        restore = partial(restore_trained, with_heads, self.folder, self.fit, {})
        predictor = Predictor(
            context=context,
            fit=self.fit,
            model=KEPT.restored(key, restore),
            heads=heads,
            known=self.known,
        )
        writer = PredictionWriter(
            out=self.out,
            source=source,
            derived=derived,
            whole=source.whole,
            soft=self.soft,
            overlay=self.overlay,
            progress=progress,
        )
        faults: dict[str, str] = {}

        def note(fault: UnreadableImage) -> None:
            faults[fault.image_id] = fault.reason
            progress.advance()

        written = predictor.write(source, image_ids, writer, progress, on_fault=note)
        return written, faults


def predict_shard(
    shard: Shard[PredictedShard], order: PredictionOrder, source: ImageFiles, progress: Progress
) -> PredictedShard:
    """Predict the images of a shard."""
    set_threads(THREADS)
    written, faults = order.write(source, shard.items, progress)
    return PredictedShard(stamp=shard.stamp, written=written, faults=faults)


def prediction_pass(order: PredictionOrder, source: ImageFiles) -> Pass[PredictedShard]:
    """The prediction of a folder of images as a pass."""
    identity = order.identity
    versions = file_versions(source.paths)
    return Pass(
        what="Predicting",
        folder=order.out / FOLDER,
        kind=PredictedShard,
        items=list(source.images()),
        stamp=lambda own: hash_of(identity, [(image_id, *versions[image_id]) for image_id in own]),
        function=predict_shard,
        arguments=lambda shard: (order, _only(source, shard.items)),
    )


def _only(source: ImageFiles, image_ids: Sequence[str]) -> ImageFiles:
    """The files of some images."""
    paths = chosen_paths(source.paths, image_ids)
    labels = source.labels.absolute() if source.labels else None
    whole = source.whole.intersection(image_ids)
    return replace(source, paths=paths, labels=labels, whole=whole)
