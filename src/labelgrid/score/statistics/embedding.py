"""Computes an embedding of each image: the code of an auto-encoder of all tasks' features.

The convolutional auto-encoder is trained on the pool's images, without labels (TCD supplement,
section 2). It reads the features of the initial heads, at the finest scale, or those of the only
heads of a network with one stage.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.array_types import AnyFloats
from labelgrid.basics.config import check_ranges
from labelgrid.basics.type_names import Size
from labelgrid.score.statistic import FitContext, PoolBatch, Scope, TrainedStatistic
from labelgrid.score.table import Axis
from labelgrid.score.training import Passes, Rows, Schedule, replay_passes, resize_maps, train

#: The number of convolutions of the encoder; each halves the map and all but the first double its
#: channels.
BLOCKS = 4


@dataclass(frozen=True)
class Options:
    """The auto-encoder and its training; the paper gives the layers only.

    Args:
        dimensions: the dimensions of the embedding; 32 to 1024 in the paper's figure 10.
        width: channels of the first convolution; the others have 2, 4 and 8 times as many.
        epochs: passes over the pool.
        learning_rate: the learning rate of Adam.
    """

    dimensions: int = 512
    width: int = 128
    epochs: int = 50
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_ranges(
            self,
            dimensions=(1, 65_536),
            width=(1, 4096),
            epochs=(1, 100_000),
            learning_rate=(1e-9, 1.0),
        )


class AutoEncoder(nn.Module):
    """Four 4×4 convolutions of stride 2, a linear layer to the code, and the mirror of both.

    The paddings keep half of an odd side, rounded up ("SAME"). The reconstruction is cut to the
    map's size.

    Args:
        channels: the channels of the map.
        size: height and width of the map.
        options: widths.

    Source: TCD supplement, section 2. It lets the decoder start at H/4 × W/4, which would return a
    map of 4H × 4W; here it starts at H/16 × W/16, rounded up. The last layer is linear.
    """

    def __init__(self, channels: int, size: Size, options: Options) -> None:
        super().__init__()
        widths = [channels]
        width = options.width
        for _ in range(BLOCKS):
            widths.append(width)
            width *= 2
        self.size = size
        least = [-(-side // 2**BLOCKS) for side in size]
        down = [_down(a, b) for a, b in pairwise(widths)]
        up = [_up(a, b) for a, b in pairwise(widths[:0:-1])]
        inner = (widths[-1], *least)
        values = int(np.prod(inner))
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(values, options.dimensions))
        self.decoder = nn.Sequential(
            nn.Linear(options.dimensions, values),
            nn.Unflatten(1, inner),
            *up,
            nn.ConvTranspose2d(widths[1], channels, 4, stride=2, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """The reconstruction [b, channels, h, w] of maps of this shape."""
        height, width = self.size
        return cast("Tensor", self.decoder(self.encoder(maps)))[..., :height, :width]


class HalvingPad(nn.Module):
    """Pads the odd sides of maps with zeros, at the bottom and at the right."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [b, c, h, w] with even sides."""
        height, width = maps.shape[-2:]
        return functional.pad(maps, (0, width % 2, 0, height % 2))


def _down(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(HalvingPad(), convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Embedding(TrainedStatistic):
    """The auto-encoder's code of each image, float32 [b, d].

    Features are standardised by channel over the pool.

    Source: TCD supplement, sections 2 and 4.
    """

    scope: Scope = "all"
    axis: Axis = "feature"
    mean: Tensor
    spread: Tensor

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options

    def setup(self, example: PoolBatch) -> None:
        """Build the auto-encoder for maps of the example's shape."""
        maps = task_maps(example)
        channels, height, width = maps.shape[1:]
        self.network = AutoEncoder(channels, (height, width), self.options)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("spread", torch.ones(1, channels, 1, 1))

    def fit(self, context: FitContext) -> None:
        """Train on the pool's images to reconstruct their standardised features.

        The loss is the mean squared error.
        """

        def read(batch: PoolBatch) -> Rows:
            return Rows({"features": self._resized_maps(batch)})

        passes = replay_passes(context.pool, read, context.seed)
        mean, spread = channel_moments(passes, self.mean.numel())
        self.mean = mean.to(self.mean)
        self.spread = spread.to(self.spread)

        def losses(rows: Rows) -> Iterator[Tensor]:
            maps = (rows.maps["features"] - self.mean) / self.spread
            yield functional.mse_loss(self.network(maps), maps)

        train(
            "Training the auto-encoder",
            self.network,
            context=context,
            schedule=Schedule(self.options.epochs, self.options.learning_rate),
            passes=passes,
            losses=losses,
        )

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The embeddings of a batch, float32 [b, d]."""
        maps = (self._resized_maps(batch) - self.mean) / self.spread
        code: Tensor = self.network.encoder(maps)
        return code.cpu().numpy()

    def _resized_maps(self, batch: PoolBatch) -> Tensor:
        # Images of other shapes have maps of other sizes.
        return resize_maps(task_maps(batch), *self.network.size)


def task_maps(batch: PoolBatch) -> Tensor:
    """The concatenated features [b, c, h, w] of all tasks' initial heads, at the finest scale."""
    output = batch.output
    heads = output.initial_features[0] if output.initial_features else output.task_features
    return torch.cat([heads[name] for name in batch.tasks], 1)


def channel_moments(passes: Passes, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over the images of a pass, float32 [1, c, 1, 1].

    A deviation below 1e-6 becomes 1, so that a constant channel becomes 0.

    Source: Chan, Golub & LeVeque 1983, the update of moments by those of a further part.
    """
    count = 0
    mean = torch.zeros(channels, dtype=torch.float64)
    square = torch.zeros(channels, dtype=torch.float64)
    for rows in passes(0):
        maps = rows.maps["features"].double()
        mean_of_part = maps.mean((0, 2, 3))
        number = maps[:, 0].numel()
        spread = (maps - mean_of_part[:, None, None]).square().sum((0, 2, 3)).cpu()
        fraction = number / (count + number)
        gap = mean_of_part.cpu() - mean
        count = count + number
        square += spread + gap**2 * (1 - fraction) * number
        mean += gap * fraction
    deviation = (square / max(count, 1)).sqrt()
    deviation[deviation < 1e-6] = 1
    return mean.float().view(1, -1, 1, 1), deviation.float().view(1, -1, 1, 1)


def build(seed: int, options: Options) -> Embedding:
    """Build the auto-encoder's statistic, not trained yet."""
    return Embedding(options)
