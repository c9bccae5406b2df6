"""Measures the disagreement between a linear probe on the frozen encoder and the network, for each task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labelgrid.score.statistic import Axis, FitContext, PoolBatch, TrainedStatistic
from labelgrid.score.weights import read_weights, write_weights
from labelgrid.select.parts import Composed, MinMax, Read
from labelgrid.streams import seed_of
from labelgrid.train.objective import at_size

STATISTIC = "tests.plugins.probe:build_probe"


@dataclass(frozen=True)
class Options:
    """How the probe is trained.

    Args:
        epochs: passes over the labelled images.
        learning_rate: of Adam.
    """

    epochs: int = 3
    learning_rate: float = 0.01


class Probe(TrainedStatistic):
    """A 1×1 convolution per task on the deepest map, trained on the labels; its mean distance to the network."""

    axis: Axis = "cell"

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.heads = nn.ModuleDict()

    def setup(self, example: PoolBatch) -> None:
        """Build one head per task, with the map's number of channels."""
        channels = example.features.deepest.shape[1]
        self.heads = nn.ModuleDict({name: nn.Conv2d(channels, t.channels, 1) for name, t in example.tasks.items()})

    def fit(self, context: FitContext) -> None:
        """Train the heads, and save the state after each epoch."""
        optimiser = torch.optim.Adam(self.heads.parameters(), self.options.learning_rate)
        done = resumed(context.folder / "last", self.heads, optimiser)
        context.progress.start("Training the probe", self.options.epochs - done, "epochs")
        for epoch in range(done, self.options.epochs):
            torch.manual_seed(seed_of(context.seed, epoch))
            for batch in context.labelled(epoch):
                targets = batch.batch.targets
                losses = [
                    task.loss(at_size(raw, targets[name]), targets[name]).mean()
                    for name, raw in self.predict(batch).items()
                    for task in [batch.tasks[name]]
                ]
                optimiser.zero_grad()
                torch.stack(losses).sum().backward()
                optimiser.step()
            state = {"epoch": epoch + 1, "heads": self.heads.state_dict(), "optimiser": optimiser.state_dict()}
            write_weights(context.folder / "last", state)
            context.progress.advance()

    def predict(self, batch: PoolBatch) -> Mapping[str, Tensor]:
        """The probe's raw outputs."""
        return {name: head(batch.features.deepest) for name, head in self.heads.items()}

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """Mean absolute difference of the two predictions, [b, t]."""
        final = batch.model.network.decode(batch.features, batch.batch.targets or None).final
        columns = []
        for name, raw in self.predict(batch).items():
            task, size = batch.tasks[name], final[name].shape[-2:]
            mine = task.activate(nn.functional.interpolate(raw, size, mode="bilinear", align_corners=False))
            columns.append((mine - task.activate(final[name])).abs().mean((1, 2, 3)))
        return torch.stack(columns, 1).cpu().numpy()


def resumed(path: Path, heads: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Load the state of an interrupted training; returns the number of its finished epochs."""
    if not path.is_file():
        return 0
    kept = read_weights(path)
    heads.load_state_dict(kept["heads"])
    optimiser.load_state_dict(kept["optimiser"])
    return int(kept["epoch"])


def build_probe(seed: int, options: Options) -> Probe:
    """Build the statistic."""
    return Probe(options)


def build(options: Options) -> Composed:
    """Build a strategy that picks the cells where probe and network disagree most."""
    return Composed(frozenset({STATISTIC}), Read(STATISTIC), MinMax("each"), "cells", "probe and network disagree")
