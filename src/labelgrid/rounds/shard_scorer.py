"""Scores shards of a pool anywhere: from files and settings, without the project's ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

from labelgrid.basics.processes import set_threads
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Values
from labelgrid.data.project_source import ProjectSource
from labelgrid.data.supplied_source import MostTrusted, SuppliedLabels
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.nets.network import Network
from labelgrid.project.records import Fit, MemberRecord
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.context import ModelContext
from labelgrid.rounds.model_cache import CACHE, model_key
from labelgrid.rounds.models import initial_network, restore_trained
from labelgrid.score.fit_statistics import load_statistics
from labelgrid.score.pool import Explaining, ScoringJob, score_shard
from labelgrid.score.shards import PoolShard
from labelgrid.score.statistic import Statistic
from labelgrid.tasks.task import Tasks, definitions
from labelgrid.train.seeding import seed_torch
from labelgrid.train.trained_model import TrainedModel

#: The module that processes load before they score shards.
PRELOADED = __name__
#: The threads with which a shard is computed, everywhere: with others, sums differ in their last
#: bits.
THREADS = 1
#: The options of statistics, by name.
StatisticOptions = Mapping[str, Values]


def build_statistics(options: StatisticOptions, seed: int) -> dict[str, Statistic]:
    """Build statistics by name; each draws random weights from a stream of its name.

    Args:
        options: the options by name.
        seed: the seed of the model.
    """
    statistics = {}
    for name, choices in options.items():
        stream = ("init", "score", name, "build")
        with seed_torch(seed, *stream):
            statistics[name] = build_plugin("statistics", PluginChoice(name, choices), seed)
    return statistics


def check_network(options: StatisticOptions, network: Network, tasks: Tasks) -> None:
    """Refuse a network for which a statistic cannot be computed.

    Args:
        options: the options of the statistics, by name.
        network: with any weights.
        tasks: the tasks by name.

    Raises:
        ModelError: the network or the tasks do not fit.
    """
    for statistic in build_statistics(options, 0).values():
        statistic.check(network, tasks)


@dataclass(frozen=True, kw_only=True)
class ShardImages:
    """The files of a shard's images and of their labels.

    Args:
        source: the source of these images alone.
        supplied: the labels of suppliers, by task; None: no statistic reads any.
        labelled: the tasks of which each image has a true label.
    """

    source: ProjectSource
    supplied: Mapping[str, Sequence[SuppliedLabels]] | None
    labelled: Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True)
class ScoringOrder:
    """The model and the settings that the scores of a shard depend on.

    Args:
        folder: the project's, where the checkpoints are.
        features: the folder of the maps of frozen encoders.
        encoders: the folder of frozen encoders.
        tasks: as the ledger has them.
        recipe: the recipe of the training, with the current [score].
        fit: the record of the training.
        members: the records of its members, by name.
        weights: the file of backbone weights for a network that was never trained; None: none.
        statistics: the options of those that score.
        explaining: the options of those that only explain.
        trained: the folder of weights of statistics that have some.
        example: the image that these are shaped by, in the source of each shard.
    """

    folder: Path
    features: Path
    encoders: Path
    tasks: tuple[TaskRow, ...]
    recipe: Recipe
    fit: Fit
    members: Mapping[str, MemberRecord]
    weights: Path | None
    statistics: StatisticOptions
    explaining: StatisticOptions
    trained: Path
    example: Sequence[str]

    def score(self, shard: PoolShard, images: ShardImages, progress: Progress) -> None:
        """Score a shard into its file."""
        explaining = Explaining(build_statistics(self.explaining, self.fit.seed))
        tasks = definitions(self.tasks)
        context = ModelContext.of_training(
            self.recipe, tasks, self.fit.seed, encoders=self.encoders, features=self.features
        )
        supplier_labels = None
        if images.supplied is not None:
            supplier_labels = MostTrusted(images.supplied, tasks, images.labelled)
        job = ScoringJob(
            model=CACHE.restored(self._model_key, partial(self._model, context)),
            tasks=context.tasks,
            definitions=tasks,
            source=images.source,
            data=self.recipe.data,
            statistics=build_statistics(self.statistics, self.fit.seed),
            stamp={},
            leaves_out=True,
            supplier_labels=supplier_labels,
        )
        load_statistics(job, self.trained, seed=self.fit.seed, example=self.example)
        score_shard(shard, job, explaining, progress)

    @property
    def _model_key(self) -> str:
        members = {name: asdict(record) for name, record in self.members.items()}
        version = []
        if self.weights is not None:
            status = self.weights.stat()
            version = [status.st_size, status.st_mtime_ns]
        further = str(self.folder), members, str(self.weights), version
        return model_key(self.fit, self.recipe, self.tasks, *further)

    def _model(self, context: ModelContext) -> TrainedModel:
        if not self.fit.checkpoint:
            network = initial_network(context, self.weights).eval()
            return TrainedModel(network=network, trained=frozenset())
        return restore_trained(context, self.folder, self.fit, self.members)


def score_ordered(
    shard: PoolShard, order: ScoringOrder, images: ShardImages, progress: Progress
) -> None:
    """Score a shard: the function of its job."""
    set_threads(THREADS)
    order.score(shard, images, progress)


@dataclass(frozen=True)
class PoolFiles:
    """The files of a pool, to be cut into the files of shards.

    Args:
        source: the source of all images.
        supplier_labels: suppliers' labels of all images; None: no statistic reads any.
        tasks: the names of all tasks.
        always: images that every shard gets.
    """

    source: ProjectSource
    supplier_labels: MostTrusted | None
    tasks: Sequence[str]
    always: Sequence[str]

    def of(self, image_ids: Sequence[str]) -> ShardImages:
        """The files of some images."""
        wanted = dict.fromkeys([*image_ids, *self.always])
        files = {image_id: self.source.files[image_id] for image_id in wanted}
        cells = [Cell(*pair) for pair in product(wanted, self.tasks)]
        labels = {cell: self.source.labels[cell] for cell in cells if cell in self.source.labels}
        source = replace(self.source, files=files, labels=labels)
        if self.supplier_labels is None:
            return ShardImages(source=source, supplied=None, labelled={})
        supplied: dict[str, list[SuppliedLabels]] = {}
        for task, several in self.supplier_labels.by_task.items():
            supplied[task] = []
            for labels_of in several:
                given = {name: labels_of.files[name] for name in wanted if name in labels_of.files}
                supplied[task].append(replace(labels_of, files=given))
        labelled = {}
        for image_id in wanted:
            labelled[image_id] = frozenset(self.supplier_labels.labelled.get(image_id, ()))
        return ShardImages(source=source, supplied=supplied, labelled=labelled)
