"""A network of your own: heads of two convolutions. Use it with `[network] name = "deep_heads_network:build"`.

Commands run it with `--trust deep_heads_network`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import Predict
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task


@dataclass(frozen=True)
class Options:
    """The channels of the heads, and the dropout before their last convolution."""

    width: int = 32
    dropout: float = 0.2


class DeepHeads(Network):
    """An encoder and, for each task, two 3×3 convolutions and a prediction layer."""

    def __init__(self, tasks: Mapping[str, Task], encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.encoder = encoder
        width = options.width
        self.bodies = nn.ModuleDict({name: self._body(encoder.channels, width) for name in tasks})
        self.last = nn.ModuleDict(
            {n: Predict(width, t.channels, options.dropout, "final") for n, t in tasks.items()}
        )

    @staticmethod
    def _body(inputs: int, width: int) -> nn.Sequential:
        first = nn.Conv2d(inputs, width, 3, padding=1)
        second = nn.Conv2d(width, width, 3, padding=1)
        return nn.Sequential(
            first, nn.BatchNorm2d(width), nn.ReLU(), second, nn.BatchNorm2d(width), nn.ReLU()
        )

    def encode(self, image: Tensor) -> Features:
        """Run the encoder."""
        features: Features = self.encoder(image)
        return features

    def decode(self, features: Features, known: Mapping[str, Target] | None = None) -> Output:
        """Run the heads; a one-stage network does not use known labels."""
        task_features = {name: body(features.shared) for name, body in self.bodies.items()}
        return Output(
            initial=(),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
        )

    def predict(self, task_features: Raw) -> Raw:
        """Run the prediction layers, the last part of `decode`."""
        return {name: self.last[name](x) for name, x in task_features.items()}


def build(tasks: Mapping[str, Task], encoder: Callable[[], Encoder], options: Options) -> DeepHeads:
    """Build the network; `encoder()` builds the recipe's encoder, and a network may use its own instead."""
    return DeepHeads(tasks, encoder(), options)
