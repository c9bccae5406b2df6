"""Predicts shards of images anywhere: from files and settings, without the project's ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from labelgrid.basics.processes import set_threads
from labelgrid.basics.progress import Progress
from labelgrid.data.loader import UnreadableImage
from labelgrid.executors.passes import RecordPass, Shard, Stamped
from labelgrid.images.places import chosen_paths, file_versions
from labelgrid.project.sources import ImageFiles
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import ModelContext
from labelgrid.rounds.model_cache import CACHE, model_key
from labelgrid.rounds.models import restore_trained
from labelgrid.rounds.predictor import PredictionOrder
from labelgrid.rounds.shard_scorer import THREADS

#: The module that processes load before they predict shards.
PRELOADED = __name__
#: The folder beside the predictions with the records of shards, until all are done.
FOLDER = ".shards"


@dataclass(frozen=True, kw_only=True)
class PredictedShard(Stamped):
    """The record of a shard, stamped with model, settings, images and version.

    Args:
        written: the number of label files.
        faults: why images could not be read, by id.
    """

    written: int
    faults: Mapping[str, str]


def predict_shard(
    shard: Shard[PredictedShard], order: PredictionOrder, source: ImageFiles, progress: Progress
) -> PredictedShard:
    """Write the predictions of a shard's images, and return the record."""
    set_threads(THREADS)
    predictor = order.predictor()
    context = ModelContext.of_training(
        order.recipe, predictor.heads, order.fit.seed, encoders=order.encoders
    )
    further = str(order.folder), list(predictor.heads)
    key = model_key(order.fit, order.recipe, order.tasks, *further)
    restore = partial(restore_trained, context, order.folder, order.fit, {})
    faults = {}

    def note(fault: UnreadableImage) -> None:
        faults[fault.image_id] = fault.reason
        progress.advance()

    written = predictor.write(
        CACHE.restored(key, restore),
        source,
        shard.items,
        whole=source.whole,
        progress=progress,
        on_fault=note,
    )
    return PredictedShard(stamp=shard.stamp, written=written, faults=faults)


def prediction_pass(order: PredictionOrder, source: ImageFiles) -> RecordPass[PredictedShard]:
    """The pass that predicts a folder of images."""
    identity = order.identity
    versions = file_versions(source.paths)
    return RecordPass(
        activity="Predicting",
        folder=order.out / FOLDER,
        kind=PredictedShard,
        items=list(source.images()),
        stamp=lambda images: hash_of(
            identity, [(image_id, *versions[image_id]) for image_id in images]
        ),
        function=predict_shard,
        arguments=lambda shard: (order, _only(source, shard.items)),
    )


def _only(source: ImageFiles, image_ids: Sequence[str]) -> ImageFiles:
    paths = chosen_paths(source.paths, image_ids)
    labels = source.labels.absolute() if source.labels else None
    whole = source.whole.intersection(image_ids)
    return replace(source, paths=paths, labels=labels, whole=whole)
