"""Trains a statistic's modules on the frozen network's output, epoch by epoch.

A training resumes after a kill.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.streams import stream
from labelgrid.pixel.target import Target, Targets, Tensors
from labelgrid.score.statistic import FitContext, PoolBatch
from labelgrid.score.weights import read_weights, write_weights

#: The largest number of bytes of the network's output that are kept in memory from the first pass
#: on.
MEMORY = 2**30
#: The least number of seconds between two saves of a training's state: the state of a large module
#: takes a while.
SAVE_EVERY = 30.0


def resize_maps(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps [b, c, h, w] at a size, bilinearly."""
    if maps.shape[-2:] == (height, width):
        return maps
    return functional.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Rows:
    """The input of a training for b images: maps [b, c, h, w] by name, and targets by task."""

    maps: Tensors
    targets: Targets = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.maps.values())))

    def __getitem__(self, rows: slice) -> "Rows":
        maps = {name: part[rows] for name, part in self.maps.items()}
        targets = {name: target[rows] for name, target in self.targets.items()}
        return Rows(maps, targets)

    @property
    def size(self) -> int:
        """The number of bytes in memory."""
        targets = self.targets.values()
        maps = sum(part.nbytes for part in self.maps.values())
        return maps + sum(target.value.nbytes + target.valid.nbytes for target in targets)

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        """The shapes of one image's maps and targets, equal in a batch."""
        parts = [*self.maps.values(), *(target.value for target in self.targets.values())]
        return tuple(part.shape[1:] for part in parts)

    @staticmethod
    def cat(parts: Sequence["Rows"]) -> "Rows":
        """Concatenate rows of the same shapes."""
        maps = {}
        for name in parts[0].maps:
            maps[name] = torch.cat([part.maps[name] for part in parts])
        targets = {}
        for name in parts[0].targets:
            targets[name] = Target.cat([part.targets[name] for part in parts])
        return Rows(maps, targets)


#: Maps an epoch to the batches of its pass over the images, in random order.
Passes = Callable[[int], Iterator[Rows]]


def replay_passes(
    batches: Callable[[int], Iterator[PoolBatch]],
    read: Callable[[PoolBatch], Rows],
    seed: int,
    memory: int = MEMORY,
) -> Passes:
    """Passes over the images that run the network once on each image, or again if memory is short.

    Args:
        batches: `FitContext.labelled` or `FitContext.pool`.
        read: makes the rows of a batch.
        seed: the seed of the order of each pass; images of one shape form a batch.
        memory: the most bytes to keep.
    """
    images: list[Rows] = []
    batch = 0
    size = 0
    for rows in map(read, batches(0)):
        batch = max(batch, len(rows))
        size += rows.size
        if size > memory:
            return lambda epoch: map(read, batches(epoch))
        images += [rows[index : index + 1] for index in range(len(rows))]

    def again(epoch: int) -> Iterator[Rows]:
        groups: dict[tuple[torch.Size, ...], list[Rows]] = {}
        for index in stream(seed, "replay", epoch).permutation(len(images)):
            group = groups.setdefault(images[index].shapes, [])
            if len(group) == batch:
                yield Rows.cat(group)
                group.clear()
            group.append(images[index])
        yield from map(Rows.cat, groups.values())

    return again


@dataclass(frozen=True)
class Schedule:
    """The length and the speed of a training of modules, with Adam."""

    epochs: int
    learning_rate: float


def train(
    title: str,
    modules: nn.Module,
    context: FitContext,
    schedule: Schedule,
    passes: Passes,
    losses: Callable[[Rows], Iterator[Tensor]],
) -> None:
    """Train modules; after a kill, resume bit for bit from the last epoch whose state was saved.

    A batch of one image is normalised with the running statistics: its own may be of a single
    value.

    Args:
        title: names the training, for the progress.
        modules: the modules.
        context: the context, with the folder for the state of a stopped training.
        schedule: the schedule of the training.
        passes: the batches of an epoch.
        losses: the parts of a batch's loss; each is differentiated before the next is computed, to
            save memory.
    """
    optimiser = torch.optim.Adam(modules.parameters(), schedule.learning_rate, fused=True)
    path = context.folder / "last"
    done = 0
    if path.is_file():
        state = read_weights(path)
        modules.load_state_dict(state["modules"])
        optimiser.load_state_dict(state["optimiser"])
        done = int(state["epoch"])
    context.progress.start(title, schedule.epochs - done, "epochs")
    saved = time.monotonic()
    for epoch in range(done, schedule.epochs):
        for rows in passes(epoch):
            modules.train(len(rows) > 1)
            optimiser.zero_grad()
            for loss in losses(rows):
                # Else no image of the batch has a label that this part learns from.
                if loss.requires_grad:
                    torch.autograd.backward(loss)
            optimiser.step()
        if time.monotonic() - saved >= SAVE_EVERY:
            state = {
                "epoch": epoch + 1,
                "modules": modules.state_dict(),
                "optimiser": optimiser.state_dict(),
            }
            write_weights(path, state)
            saved = time.monotonic()
        context.progress.advance()
