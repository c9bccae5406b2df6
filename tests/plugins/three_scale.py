"""A network with initial predictions at three scales of an encoder of its own, refined by each other's predictions.

In a recipe: `[network] name = "tests.plugins.three_scale:build"`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import Predict, insert_known_labels
from labelgrid.nets.encoder_options import Rate
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task

SCALES = 3


@dataclass(frozen=True)
class Options:
    """The heads.

    Args:
        width: channels of all heads.
        dropout: rate before their last convolutions.
    """

    width: int = 16
    dropout: Rate = 0.2


class Pyramid(nn.Module):
    """The three finest scales of the recipe's backbone, each projected to one width, and its fused map."""

    def __init__(self, trunk: Encoder, width: int) -> None:
        super().__init__()
        self.trunk, self.channels = trunk, trunk.channels
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels in trunk.level_channels[:SCALES]
        )

    def forward(self, image: Tensor) -> Features:
        """Encode images [b, 3, h, w]: the fused map, and three levels."""
        found: Features = self.trunk(image)
        levels = zip(self.lateral, found.levels[:SCALES], strict=True)
        return replace(found, levels=tuple(lateral(level) for lateral, level in levels))


def block(inputs: int, width: int) -> nn.Sequential:
    """A 3×3 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


class Scale(nn.Module):
    """The initial heads of one scale, and the embeddings of their predictions."""

    def __init__(self, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__()
        width, rate = options.width, options.dropout
        self.bodies = nn.ModuleDict({n: block(width, width) for n in tasks})
        self.last = nn.ModuleDict(
            {n: Predict(width, t.channels, rate, "initial") for n, t in tasks.items()}
        )
        self.embed = nn.ModuleDict(
            {n: block(t.channels, width) for n, t in tasks.items() if len(tasks) > 1}
        )


class ThreeScale(Network):
    """Each task's final head sees the fused map and, at every scale, the other tasks' predictions or known labels."""

    def __init__(self, tasks: Mapping[str, Task], encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.tasks, self.encoder = dict(tasks), Pyramid(encoder, options.width)
        self.scales = nn.ModuleList(Scale(tasks, options) for _ in range(SCALES))
        self.bodies = nn.ModuleDict(
            {n: block(encoder.channels + options.width, options.width) for n in tasks}
        )
        rate = options.dropout
        self.last = nn.ModuleDict(
            {n: Predict(options.width, t.channels, rate, "final") for n, t in tasks.items()}
        )
        self.width = options.width

    def encode(self, image: Tensor) -> Features:
        """Run the encoder."""
        features: Features = self.encoder(image)
        return features

    def decode(self, features: Features, known: Mapping[str, Target] | None = None) -> Output:
        """Initial predictions at each level, their messages to the other tasks, final heads."""
        shared = features.shared
        messages = {
            name: shared.new_zeros(len(shared), self.width, *shared.shape[-2:])
            for name in self.tasks
        }
        initial, heads = [], []
        for scale, level in zip(self.scales, features.levels, strict=True):
            heads.append({name: body(level) for name, body in scale.bodies.items()})  # type: ignore[operator, union-attr]
            initial.append({name: scale.last[name](x) for name, x in heads[-1].items()})  # type: ignore[index, operator]
            predictions = {
                name: self.tasks[name].activate(raw) for name, raw in initial[-1].items()
            }
            predictions = (
                insert_known_labels(self.tasks, predictions, known) if known else predictions
            )
            for source, embed in scale.embed.items():  # type: ignore[operator, union-attr]
                sent = functional.interpolate(
                    embed(predictions[source]), size=shared.shape[-2:], mode="bilinear"
                )
                messages = {
                    name: old if name == source else old + sent for name, old in messages.items()
                }
        task_features = {
            name: body(torch.cat([shared, messages[name]], 1)) for name, body in self.bodies.items()
        }
        return Output(
            initial=tuple(initial),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
            initial_features=tuple(heads),
        )

    def predict(self, task_features: Raw) -> Raw:
        """Run the final heads' dropout and last convolution."""
        return {name: self.last[name](x) for name, x in task_features.items()}


def build(
    tasks: Mapping[str, Task], encoder: Callable[[], Encoder], options: Options
) -> ThreeScale:
    """Build the network for these tasks, on the recipe's backbone."""
    return ThreeScale(tasks, encoder(), options)
