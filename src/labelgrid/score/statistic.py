"""Defines the interface of statistics: declarations, input, and optional training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from labelgrid.basics.array_types import AnyFloats, Keys
from labelgrid.basics.progress import Progress
from labelgrid.data.batch import Batch
from labelgrid.nets.network import Features, Network, Output
from labelgrid.pixel.fitted_loss import SuppliedTargets
from labelgrid.pixel.target import Targets
from labelgrid.score.table import Axis
from labelgrid.tasks.task import TaskDefs, Tasks
from labelgrid.train.trained_model import TrainedModel

if TYPE_CHECKING:
    from labelgrid.score.maps import Passes

#: Which images are scored: those with a missing cell, or all images of the train split.
Scope = Literal["pool", "all"]
#: What a statistic reads of a model: its predictions, several of them for each image, the pooled
#: features, or anything else of the network.
Reads = Literal["predictions", "passes", "features", "network"]


@dataclass(frozen=True, kw_only=True)
class PoolBatch:
    """The input of statistics: one batch of encoded images.

    Args:
        batch: b images, with known labels as targets, and frames.
        keys: the images' keys, uint64 [b].
        features: the encoder's features of the images.
        model: the trained model, in evaluation mode.
        tasks: the tasks by name.
        definitions: the tasks as they are defined, by name; their `transform` says how a mirrored
            view's values differ.
        supplier_labels: suppliers' labels by task, for cells without a true label; empty unless a
            statistic reads them.
    """

    batch: Batch
    keys: Keys
    features: Features
    model: TrainedModel
    tasks: Tasks
    definitions: TaskDefs = field(default_factory=dict)
    supplier_labels: SuppliedTargets = field(default_factory=dict)

    @property
    def known(self) -> Targets | None:
        """The known labels by task for `Network.decode`, without tasks that have no known label."""
        targets = self.batch.targets.items()
        return {name: target for name, target in targets if target.present.any()} or None

    @cached_property
    def output(self) -> Output:
        """The network's output without known labels, decoded once a batch."""
        with torch.no_grad():
            return self.model.network.decode(self.features)

    @cached_property
    def output_with_known(self) -> Output:
        """The network's output with the known labels, decoded once a batch."""
        labels = self.known
        if not labels:
            return self.output
        with torch.no_grad():
            return self.model.network.decode(self.features, labels)

    def decoded(self, known: bool) -> Output:
        """Choose the network's output with the known labels, or without."""
        return self.output_with_known if known else self.output

    def passes(self, predict: Callable[[], "Passes"]) -> "Passes":
        """Run several predictions of the batch; predictions made elsewhere are read instead."""
        return predict()


class Statistic:
    """Computes values of each image from the model.

    A subclass sets the attributes and implements `__call__`.

    Laws (labelgrid.testing.statistics): an image's values depend on that image only, not on
    its position or on the rest of its batch; label values of invalid pixels have no effect; the
    model is not changed.

    Attributes:
        scope: "pool" for the images with a missing cell, or "all" for all images of the train
            split.
        axis: what a value belongs to, which determines the shape; see `Axis`.
        reads: all that the statistic reads of the model; without "network", the statistic can also
            be computed from predictions that another program wrote.
    """

    scope: Scope = "pool"
    axis: Axis = "cell"
    reads: Reads = "network"

    def check(self, network: Network, tasks: Tasks) -> None:
        """Refuse a network without the outputs that the values are computed from.

        It is asked before the network is trained.

        Raises:
            ModelError: the network or the tasks do not fit.
        """

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The values of a batch: [b, t] (cell), [b] (image) or [b, d] (feature)."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class FitContext:
    """The data and tools for training a statistic's modules; gradients are enabled.

    Args:
        model: frozen, in evaluation mode. Neither its parameters nor its buffers may change.
        tasks: the tasks by name.
        weights: the weights of the tasks' losses, as the model was trained.
        labelled: maps an epoch to batches of the train split's images with a label, in random
            order.
        pool: maps an epoch to batches of the images with a missing cell, in random order.
        seed: the seed of this statistic's random draws.
        folder: keeps files of a training that was stopped until it is resumed; removed at the end
            of the training.
        progress: receives the progress.
        train_member: trains or resumes a further network with the model's recipe, under a seed
            derived from a name.
    """

    model: TrainedModel
    tasks: Tasks
    weights: Mapping[str, float]
    labelled: Callable[[int], Iterator[PoolBatch]]
    pool: Callable[[int], Iterator[PoolBatch]]
    seed: int
    folder: Path
    progress: Progress
    train_member: Callable[[str], TrainedModel]


class TrainedStatistic(Statistic, nn.Module):
    """A statistic with its own modules.

    They are trained on the frozen model before the pool is scored. `setup` builds the modules,
    `fit` trains them. Their state is saved beside the scores. When the same scores are computed
    again, it is loaded after `setup`.
    """

    @property
    def members(self) -> Sequence[str]:
        """The names of further networks, trained by `fit` or before."""
        return ()

    def setup(self, example: PoolBatch) -> None:
        """Build the modules, shaped by an example batch.

        Random weights are drawn from the statistic's own stream.
        """
        raise NotImplementedError

    def fit(self, context: FitContext) -> None:
        """Train the modules; after an interruption, resume from the files in `context.folder`."""
        raise NotImplementedError
