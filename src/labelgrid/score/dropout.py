"""How unsure the network is of each task on each image: MC-dropout, its moments streamed.

The mean over an image's pixels of the uncertainty under D passes with dropout (PartAL A.1). Known labels of other tasks
are fed in. Masks depend on the seed and the image's id alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelgrid.data.frame import Frame, to_original
from labelgrid.errors import ModelError
from labelgrid.nets.dropout import keyed_dropout, sites
from labelgrid.nets.network import Features, Network, Raw
from labelgrid.nets.options import Where, check_rates
from labelgrid.pixel.target import Target
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.tasks.task import Task

#: Most numbers of one task's map held at once at original size, and how many of them a processor works on at a time:
#: so many stay in its cache.
STRIP, CACHED = 2**22, 2**20


@dataclass(frozen=True)
class Options:
    """MC-dropout (PartAL A.1; rate, place and D are not given there).

    Args:
        passes: D, the number of passes. `normals` needs at least 4.
        where: dropout of the `"final"` heads alone, of both stages' `"heads"`, or of `"all"`: those and the fused map.
            `"final"` costs little more than one pass.
        rate: dropout rate in scoring; 0 keeps the network's own.
        at: uncertainty of maps at the images' `"original"` size, as the papers score, or at the `"head"`'s resolution,
            many times faster on large images.
    """

    passes: int = 10
    where: Where = "final"
    rate: float = 0.0
    at: Literal["original", "head"] = "original"

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise ValueError(f"passes must be at least 1; it is {self.passes}")
        check_rates(self.rate)


@dataclass(frozen=True)
class Passes:
    """D dropout passes over some images: iterating gives the raw outputs of one pass after another.

    The encoder is not run again, and with `where = "final"` nothing but the last convolutions is. Masks are
    keyed by image.
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
        """The passes over one image of the batch: the same masks."""
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
    """The mean over pixels of each task's uncertainty under dropout, nats; known labels fed in.

    Moments are streamed: memory grows neither with the number of passes nor with the pool, and an image at its
    original size is handled in strips of rows.

    Source: PartAL A.1.1 and A.1.2, section 3.3.
    """

    options: Options
    seed: int

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """[b, t]."""
        if not sites(batch.model.network, self.options.where, self.options.rate):
            raise ModelError(
                f"The network has no dropout at '{self.options.where}', so every pass would be the same.",
                next_step="Set [score.dropout] rate, or the network's dropout, above 0.",
            )
        passes, frames = Passes.of(batch, self.options, self.seed), batch.batch.frames
        if self.options.at == "head":
            return head_means(passes, batch.tasks, frames)
        return np.stack([original_means(passes.only(i), batch.tasks, frame) for i, frame in enumerate(frames)])


def head_maps(passes: Passes, tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """Uncertainty maps [b, h', w'] at the heads' resolution, by task, nats."""
    moments = {name: task.moments() for name, task in tasks.items()}
    for raws in passes:
        for name, raw in raws.items():
            moments[name].update(tasks[name].activate(raw))
    return {name: moment.uncertainty()[:, 0] for name, moment in moments.items()}


def head_means(passes: Passes, tasks: Mapping[str, Task], frames: tuple[Frame, ...]) -> NDArray[np.float64]:
    """Mean uncertainties [b, t] at the heads' resolution, over the part of the maps that shows the image."""
    means = []
    for maps in head_maps(passes, tasks).values():
        boxes = [frame.box(*maps.shape[-2:]) for frame in frames]
        means.append([float(maps[i][box].double().mean()) for i, box in enumerate(boxes)])
    return np.array(means).T


def original_means(passes: Passes, tasks: Mapping[str, Task], frame: Frame) -> NDArray[np.float64]:
    """Mean uncertainties [t] of one image at its original size."""
    height, width = frame.original
    totals = np.zeros(len(tasks))
    for rows in _cut(slice(0, height), STRIP, max(task.channels for task in tasks.values()) * width):
        maps = original_maps(passes, tasks, frame, rows)
        totals += [float(part.double().sum()) for part in maps.values()]
    return totals / (height * width)


def original_maps(passes: Passes, tasks: Mapping[str, Task], frame: Frame, rows: slice) -> dict[str, Tensor]:
    """Uncertainty maps [rows, width] of one image at its original size, by task, nats."""
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


def _cut(rows: slice, limit: int, numbers: int) -> Iterator[slice]:
    """The rows in strips of at most `limit` numbers, at least one row each; a row has `numbers`."""
    step = max(1, limit // numbers)
    for start in range(rows.start, rows.stop, step):
        yield slice(start, min(start + step, rows.stop))


def build(seed: int, options: Options) -> Dropout:
    """The statistic."""
    return Dropout(options, seed)
