"""Computes the network's uncertainty of each task on each image with MC-dropout.

The uncertainty of D passes with dropout is averaged over the image's pixels (PartAL A.1). Known
labels of other tasks are fed in. The dropout masks depend only on the seed and the image's id. With
`measure = "information"` it is BALD (Houlsby et al. 2011); least confidence and margin are those of
Settles 2009, section 3.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import torch
from pydantic import Field

from labelgrid.basics.array_types import AnyFloats, Keys
from labelgrid.basics.errors import ModelError
from labelgrid.nets.encoder_options import Rate, Where
from labelgrid.nets.keyed_dropout import keyed_dropout, sites
from labelgrid.nets.network import Features, Network, Raw
from labelgrid.pixel.target import Targets
from labelgrid.score.maps import MOMENTS, image_means
from labelgrid.score.measure_choices import At, Measure
from labelgrid.score.statistic import PoolBatch, Reads, Statistic
from labelgrid.tasks.task import Tasks

#: Passes are run together while an image's features times their number are so many.
TOGETHER = 2**19


@dataclass(frozen=True, kw_only=True)
class Options:
    """MC-dropout (PartAL A.1, which gives neither the rate, nor the layers, nor D).

    Args:
        passes: D, the number of passes. `normals` needs at least 4.
        where: dropout in the `"final"` heads only, little dearer than one pass; in both stages'
            `"heads"`; or in `"all"`: the heads and the fused map.
        rate: dropout rate in scoring; 0 keeps the network's own.
        at: where uncertainty is computed: at `"half"` the size at which the network sees the image,
            on a regular grid; at every pixel of its `"original"` size, as in the papers, which
            takes many times longer on large images; or at the `"head"`'s resolution, the fastest.
        measure: `"entropy"` of the mean prediction (PartAL eq. 3 and 4); the `"information"` that
            the passes disagree on (BALD), or `"least_confidence"` or `"margin"` of the mean class
            probabilities, all with the variance for values.
        known: feed the known labels of other tasks in (PartAL section 3.3); `false` is the
            ablation.
    """

    passes: Annotated[int, Field(ge=1, le=100_000)] = 10
    where: Where = "final"
    rate: Rate = 0.0
    at: At = "half"
    measure: Measure = "entropy"
    known: bool = True


@dataclass(frozen=True, kw_only=True)
class DropoutPasses:
    """D dropout passes over a batch of images; iterating yields the raw outputs of each pass.

    The encoder is not repeated; with `where = "final"` only the last convolutions are. The masks
    are keyed by image.
    """

    network: Network
    options: Options
    seed: int
    keys: Keys
    features: Features
    known_labels: Targets | None
    task_features: Raw | None

    @classmethod
    def of(cls, pool: PoolBatch, options: Options, seed: int) -> "DropoutPasses":
        """The passes over a batch."""
        task_features = None
        if options.where == "final":
            task_features = pool.decoded(options.known).task_features
        return cls(
            network=pool.model.network,
            options=options,
            seed=seed,
            keys=pool.keys,
            features=pool.features,
            known_labels=pool.known if options.known else None,
            task_features=task_features,
        )

    def only(self, rows: Sequence[int]) -> "DropoutPasses":
        """The passes over some images of the batch, with the same masks."""
        chosen = torch.tensor(rows)
        known_labels = None
        if self.known_labels:
            known_labels = {name: target[chosen] for name, target in self.known_labels.items()}
        task_features = None
        if self.task_features:
            task_features = {name: maps[chosen] for name, maps in self.task_features.items()}
        return replace(
            self,
            keys=self.keys[rows],
            features=self.features[chosen],
            known_labels=known_labels,
            task_features=task_features,
        )

    def __iter__(self) -> Iterator[Raw]:
        options = self.options
        with keyed_dropout(
            self.network,
            options.where,
            keys=self.keys,
            seed=self.seed,
            rate=options.rate,
            device=self.features.shared.device,
        ) as use:
            for first in range(0, options.passes, self._together):
                indices = range(first, min(first + self._together, options.passes))
                use(*indices)
                if self.task_features is None:
                    raws = self.network.decode(self.features, self.known_labels).final
                else:
                    raws = self.network.predict(self.task_features)
                for place in range(len(indices)):
                    yield {name: raw[place :: len(indices)] for name, raw in raws.items()}

    @property
    def _together(self) -> int:
        """How many passes are run at a time: the same for an image alone and beside others."""
        options = self.options
        if self.task_features is None:
            return 1
        modules = sites(self.network, options.where, options.rate).values()
        if not all(module.takes_passes for module, _ in modules):
            return 1
        largest = max(maps[0].numel() for maps in self.task_features.values())
        return max(1, TOGETHER // largest)


@dataclass(frozen=True)
class Dropout(Statistic):
    """The mean over pixels of each task's uncertainty under dropout.

    Entropies are in nats, variances in the values' unit squared.

    Source: PartAL A.1.1 and A.1.2, section 3.3.
    """

    options: Options
    seed: int
    reads: Reads = "passes"

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The mean uncertainties of a batch, float64 [b, t]."""
        passes = batch.passes(partial(self._passes, batch))
        make = MOMENTS[self.options.measure]
        return image_means(
            passes, batch.tasks, frames=batch.batch.frames, make=make, at=self.options.at
        )

    def check(self, network: Network, tasks: Tasks) -> None:
        """Refuse a network without dropout."""
        if not sites(network, self.options.where, self.options.rate):
            raise ModelError(
                f"The network has no dropout at '{self.options.where}', so every pass would be the "
                "same.",
                next_step="Set [score.dropout] rate, or the network's dropout, above 0.",
            )

    def _passes(self, batch: PoolBatch) -> DropoutPasses:
        self.check(batch.model.network, batch.tasks)
        return DropoutPasses.of(batch, self.options, self.seed)


def build(seed: int, options: Options) -> Dropout:
    """Build the uncertainty under dropout."""
    return Dropout(options, seed)
