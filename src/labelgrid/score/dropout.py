"""Computes the network's uncertainty of each task on each image with MC-dropout.

The uncertainty of D passes with dropout is averaged over the image's pixels (PartAL A.1). Known labels of other tasks
are fed in. The dropout masks depend only on the seed and the image's id.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from labelgrid.data.frame import Frame, to_original
from labelgrid.errors import ModelError
from labelgrid.nets.dropout import keyed_dropout, sites
from labelgrid.nets.network import Features, Network, Raw
from labelgrid.nets.options import Rate, Where
from labelgrid.pixel.target import Target
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.tasks.task import Task

#: The largest number of values of one task's map in memory at original size; and the number of them that a CPU
#: processes at a time, chosen to fit its cache.
STRIP, CACHED = 2**22, 2**20


@dataclass(frozen=True)
class Options:
    """MC-dropout (PartAL A.1, which gives neither the rate, nor the layers, nor D).

    Args:
        passes: D, the number of passes. `normals` needs at least 4.
        where: dropout in the `"final"` heads only, in both stages' `"heads"`, or in `"all"`: the heads and the fused
            map. `"final"` costs little more than one pass.
        rate: dropout rate in scoring; 0 keeps the network's own.
        at: where an image's uncertainty is computed: at `"half"` the size at which the network sees it, on a regular
            grid of points between which nothing is left out; at every pixel of its `"original"` size, as in the papers,
            which takes many times longer on large images; or at the `"head"`'s resolution, the fastest.
    """

    passes: Annotated[int, Field(ge=1, le=100_000)] = 10
    where: Where = "final"
    rate: Rate = 0.0
    at: Literal["original", "half", "head"] = "half"


@dataclass(frozen=True)
class Passes:
    """D dropout passes over a batch of images; iterating yields the raw outputs of each pass.

    The encoder is not repeated; with `where = "final"` only the last convolutions are. The masks are keyed by image.
    """

    network: Network
    options: Options
    seed: int
    keys: NDArray[np.uint64]
    features: Features
    known: Mapping[str, Target] | None
    task_features: Raw | None

    @classmethod
    def of(cls, pool: PoolBatch, options: Options, seed: int) -> "Passes":
        """The passes over a batch."""
        network = pool.model.network
        known = {name: target for name, target in pool.batch.targets.items() if target.present.any()} or None
        fixed = network.decode(pool.features, known).task_features if options.where == "final" else None
        return cls(network, options, seed, pool.keys, pool.features, known, fixed)

    def only(self, index: int) -> "Passes":
        """The passes over one image of the batch, with the same masks."""
        rows = slice(index, index + 1)
        known = {name: target[rows] for name, target in self.known.items()} if self.known else None
        return replace(
            self,
            keys=self.keys[rows],
            features=self.features[rows],
            known=known,
            task_features={n: x[rows] for n, x in self.task_features.items()} if self.task_features else None,
        )

    def __iter__(self) -> Iterator[Raw]:
        options, device = self.options, self.features.shared.device
        with keyed_dropout(self.network, options.where, self.keys, self.seed, options.rate, device) as use:
            for index in range(options.passes):
                use(index)
                if self.task_features is None:
                    yield self.network.decode(self.features, self.known).final
                else:
                    yield self.network.predict(self.task_features)


@dataclass(frozen=True)
class Dropout(Statistic):
    """The mean over pixels of each task's uncertainty under dropout, in nats; known labels are fed in.

    Moments are accumulated pass by pass, and images at their original size are processed in strips of rows, so memory
    grows neither with the number of passes nor with the pool.

    Source: PartAL A.1.1 and A.1.2, section 3.3.
    """

    options: Options
    seed: int

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The mean uncertainties of a batch, float64 [b, t], in nats."""
        if not sites(batch.model.network, self.options.where, self.options.rate):
            raise ModelError(
                f"The network has no dropout at '{self.options.where}', so every pass would be the same.",
                next_step="Set [score.dropout] rate, or the network's dropout, above 0.",
            )
        passes, frames = Passes.of(batch, self.options, self.seed), batch.batch.frames
        if self.options.at == "head":
            return head_means(passes, batch.tasks, frames)
        if self.options.at == "half":
            frames = tuple(halved(frame) for frame in frames)
        return np.stack([original_means(passes.only(i), batch.tasks, frame) for i, frame in enumerate(frames)])


def head_maps(passes: Passes, tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """Uncertainty maps [b, h', w'] at the heads' resolution, by task, in nats."""
    moments = {name: task.moments() for name, task in tasks.items()}
    for raws in passes:
        for name, raw in raws.items():
            moments[name].update(tasks[name].activate(raw))
    return {name: moment.uncertainty()[:, 0] for name, moment in moments.items()}


def head_means(passes: Passes, tasks: Mapping[str, Task], frames: tuple[Frame, ...]) -> NDArray[np.float64]:
    """Mean uncertainties [b, t] at the heads' resolution, over the part of the maps that shows the image, in nats."""
    means = []
    for maps in head_maps(passes, tasks).values():
        boxes = [frame.box(*maps.shape[-2:]) for frame in frames]
        means.append([float(maps[i][box].double().mean()) for i, box in enumerate(boxes)])
    return np.array(means).T


def halved(frame: Frame) -> Frame:
    """The frame of the same image at half the size at which the network sees it; no larger than the image.

    Example:
        >>> halved(Frame((480, 640), (96, 96), (slice(12, 84), slice(0, 96)))).original
        (36, 48)
    """
    rows, columns = (
        min(side, max(1, (part.stop - part.start) // 2))
        for side, part in zip(frame.original, frame.content, strict=True)
    )
    return replace(frame, original=(rows, columns))


def original_means(passes: Passes, tasks: Mapping[str, Task], frame: Frame) -> NDArray[np.float64]:
    """Mean uncertainties [t] of one image at its original size, in nats."""
    height, width = frame.original
    totals = np.zeros(len(tasks))
    for rows in _cut(slice(0, height), STRIP, max(task.channels for task in tasks.values()) * width):
        maps = original_maps(passes, tasks, frame, rows)
        totals += [float(part.double().sum()) for part in maps.values()]
    return totals / (height * width)


def original_maps(passes: Passes, tasks: Mapping[str, Task], frame: Frame, rows: slice) -> dict[str, Tensor]:
    """Uncertainty maps [rows, width] of one image at its original size, by task, in nats."""
    limit = STRIP if passes.features.shared.is_cuda else CACHED
    moments = {
        name: [(part, task.moments()) for part in _cut(rows, limit, task.channels * frame.original[1])]
        for name, task in tasks.items()
    }
    for raws in passes:
        for name, raw in raws.items():
            for part, moment in moments[name]:
                moment.update(tasks[name].activate(to_original(raw[0], frame, part)[None]))
    return {name: torch.cat([moment.uncertainty()[0, 0] for _, moment in parts]) for name, parts in moments.items()}


def _cut(rows: slice, limit: int, row_values: int) -> Iterator[slice]:
    """Split rows into strips of at most `limit` values, at least one row each; a row has `row_values` values."""
    step = max(1, limit // row_values)
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))


def build(seed: int, options: Options) -> Dropout:
    """Build the statistic."""
    return Dropout(options, seed)
