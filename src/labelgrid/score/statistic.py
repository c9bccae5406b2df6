"""What a statistic of the pool is: what it declares, what it reads of a batch, and how it may be trained."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from labelgrid.data.batch import Batch
from labelgrid.nets.network import Features
from labelgrid.progress import Progress
from labelgrid.score.table import Axis
from labelgrid.tasks.task import Task
from labelgrid.train.model import TrainedModel

#: Which images are scored: those with a missing cell, or all of the train split.
Scope = Literal["pool", "all"]


@dataclass(frozen=True)
class PoolBatch:
    """One batch of images as statistics see it: the network in evaluation mode, the encoder already run.

    Args:
        batch: b images, with known labels as targets, and frames.
        keys: uint64 [b] of the images.
        features: the encoder's.
        model: the network in evaluation mode, and the terms it was trained with.
        tasks: by name.
    """

    batch: Batch
    keys: NDArray[np.uint64]
    features: Features
    model: TrainedModel
    tasks: Mapping[str, Task]


class Statistic:
    """Reads numbers off the model for each image: a subclass declares which and gives `__call__`.

    Laws (tests/contracts/test_statistics.py): an image's numbers depend on the image alone, not on its place or on the
    others of its batch; what lies behind an invalid pixel of a label changes nothing; the model is left as it was.

    Attributes:
        scope: "pool", the images with a missing cell, or "all" images of the train split (labelled ones among them).
        axis: what the numbers are of; it says their shape, see `Axis`.
        terms: names of the terms it reads, as the recipe names them; a model that was trained without is refused.
    """

    scope: Scope = "pool"
    axis: Axis = "cell"
    terms: frozenset[str] = frozenset()

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The numbers of a batch: [b, t] (cell), [b] (image) or [b, d] (feature)."""
        raise NotImplementedError


@dataclass(frozen=True)
class FitContext:
    """What a statistic may use to train modules of its own; gradients are on.

    Args:
        model: frozen, in evaluation mode. It must be left as it is: neither parameters nor buffers may change.
        tasks: by name.
        labelled: batches of the train split's images with a label, in an order drawn for the given epoch.
        pool: batches of the images with a missing cell, in an order drawn for the given epoch.
        seed: of this statistic's draws.
        folder: for what must outlive a stopped training; it is the same on the next attempt, and removed at the end.
        progress: told how far the training is.
        train_member: trains a further network like the model's under a named seed, resumably.
    """

    model: TrainedModel
    tasks: Mapping[str, Task]
    labelled: Callable[[int], Iterator[PoolBatch]]
    pool: Callable[[int], Iterator[PoolBatch]]
    seed: int
    folder: Path
    progress: Progress
    train_member: Callable[[str], TrainedModel]


class TrainedStatistic(Statistic, nn.Module):
    """A statistic with modules of its own, trained on the frozen model before the pool is scored.

    `setup` builds the modules, `fit` trains them. Their state is kept beside the scores and loaded, after another
    `setup`, when the same scores are made again.
    """

    def setup(self, example: PoolBatch) -> None:
        """Build the modules, shaped by a first batch; random weights are drawn from a stream of the statistic's own."""
        raise NotImplementedError

    def fit(self, context: FitContext) -> None:
        """Train the modules; after an interruption, go on from what is in `context.folder`."""
        raise NotImplementedError
