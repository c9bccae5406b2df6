"""MTI-Net: PAD-Net's two stages at each scale of the encoder, from coarse to fine.

The final heads read all scales.

At each scale the tasks make initial predictions. Their features go to the next finer scale, their
embedded predictions to the other tasks of the same scale. Known labels replace initial predictions
at each scale; they never reach another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.config import added_field, check_ranges
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import Predict, basic_blocks, insert_known_labels, pointwise
from labelgrid.nets.distillation import Distil, Embed
from labelgrid.nets.dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.nets.options import WIDEST, Rate
from labelgrid.nets.propagation import Propagation
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Options:
    """Switches.

    Args:
        width: channels that 1×1 convolutions reduce each scale of the encoder to; 0: the encoder's,
            as published.
        gate: the task whose features compute a message's gate: the `"target"` (PAD-Net's paper) or
            the `"source"` (public code).
        own: the input of a target's own feature: its initial `"prediction"` or its initial head's
            `"features"` (public code).
        propagate: what the softmax of the propagation compares: the `"tasks"` at each channel (the
            paper), or in `"public"` as many neighbouring channels of the concatenated features as
            there are tasks (public code).
        dropout: rate of the channel dropout before the last convolution of every head; MTI-Net's
            code has none.
        encoder_dropout: rate of the channel dropout on each of the encoder's scales.
    """

    gate: Literal["target", "source"] = "target"
    own: Literal["prediction", "features"] = "prediction"
    propagate: Literal["tasks", "public"] = "tasks"
    dropout: Rate = 0.2
    encoder_dropout: Rate = 0.0
    width: int = added_field(0)

    def __post_init__(self) -> None:
        check_ranges(self, width=(0, WIDEST))


class ScaleHeads(nn.Module):
    """The initial heads and the distillation of one scale.

    Args:
        tasks: by name.
        inputs: channels of a task's input.
        width: channels of the scale.
        options: of the network.
    """

    def __init__(
        self, tasks: Mapping[str, Task], inputs: int, width: int, options: Options
    ) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        self.own = options.own
        self.bodies = nn.ModuleDict({n: basic_blocks(inputs, width, width) for n in tasks})
        self.initial = nn.ModuleDict(
            {n: Predict(width, t.channels, options.dropout, "initial") for n, t in tasks.items()}
        )
        self.embed = nn.ModuleDict({n: Embed(t.channels, width) for n, t in tasks.items()})
        self.distil = Distil(list(tasks), width, options.gate)

    def start(self, inputs: Raw) -> tuple[Raw, Raw]:
        """The initial heads' features and their raw outputs."""
        features = {name: body(inputs[name]) for name, body in self.bodies.items()}
        return features, {name: self.initial[name](x) for name, x in features.items()}

    def refine(self, features: Raw, initial: Raw, known: Mapping[str, Target] | None) -> Raw:
        """The tasks' features with the messages of the others, whose known labels replace their predictions."""
        predictions = {name: self.tasks[name].activate(raw) for name, raw in initial.items()}
        sources = self._embed(
            insert_known_labels(self.tasks, predictions, known) if known else predictions
        )
        own = features if self.own == "features" else self._embed(predictions) if known else sources
        refined: Raw = self.distil(own, sources)
        return refined

    def _embed(self, predictions: Raw) -> Raw:
        return {name: self.embed[name](x) for name, x in predictions.items()}


class MtiNet(Network):
    """Encoder, then for each scale initial heads and distillation, with propagation to finer scales; final heads.

    `Features.shared` is the encoder's coarsest map, but the tasks read its other maps, too:
    balancers take gradients at the parameters (`at = "parameters"`).

    Source: Vandenhende et al. 2020 (MTI-Net); TCD's second network. The survey's head reads all
    scales.
    """

    def __init__(self, tasks: Mapping[str, Task], encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.encoder = encoder
        names = list(tasks)
        given = encoder.level_channels
        rate = options.encoder_dropout
        self.dropout = nn.ModuleList(ChannelDropout(rate, width, "encoder") for width in given)
        self.reduce = nn.ModuleList(
            pointwise(width, options.width) if options.width else nn.Identity() for width in given
        )
        widths = [options.width or width for width in given]
        coarser = (*widths[1:], 0)
        self.scales = nn.ModuleList(
            ScaleHeads(tasks, width + above, width, options)
            for width, above in zip(widths, coarser, strict=True)
        )
        over: Literal["tasks", "neighbours"] = (
            "tasks" if options.propagate == "tasks" else "neighbours"
        )
        self.propagate = nn.ModuleList(Propagation(names, width, over) for width in widths[1:])
        total = sum(widths)
        self.final_bodies = nn.ModuleDict({n: pointwise(total, total) for n in names})
        self.final = nn.ModuleDict(
            {n: Predict(total, t.channels, options.dropout, "final") for n, t in tasks.items()}
        )

    def decode(self, features: Features, known: Mapping[str, Target] | None = None) -> Output:
        """Run all scales from the coarsest on, then the final heads."""
        dropped = [drop(level) for drop, level in zip(self.dropout, features.levels, strict=True)]
        levels: list[Tensor] = [
            reduce(level) for reduce, level in zip(self.reduce, dropped, strict=True)
        ]
        initial: list[Raw] = []
        heads: list[Raw] = []
        refined: list[Raw] = []
        for number in reversed(range(len(levels))):
            inputs = self._inputs(number, levels[number], heads[0] if heads else None)
            scale: Any = self.scales[number]
            found, raw = scale.start(inputs)
            heads = [found, *heads]
            initial = [raw, *initial]
            refined = [scale.refine(found, raw, known), *refined]
        size = levels[0].shape[-2:]
        task_features = {
            name: body(torch.cat([_raised(maps[name], size) for maps in refined], 1))
            for name, body in self.final_bodies.items()
        }
        return Output(
            initial=tuple(initial),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
            initial_features=tuple(heads),
        )

    def _inputs(self, number: int, level: Tensor, coarser: Raw | None) -> Raw:
        """Each task's input at a scale: the encoder's map, and the task's propagated features of the coarser scale."""
        if coarser is None:
            return dict.fromkeys(self.final_bodies, level)
        propagated: Raw = self.propagate[number](coarser)
        return {
            n: torch.cat([level, _raised(x, level.shape[-2:])], 1) for n, x in propagated.items()
        }

    def predict(self, task_features: Raw) -> Raw:
        """Run the final heads' dropout and last convolution."""
        return {name: self.final[name](x) for name, x in task_features.items()}


def _raised(x: Tensor, size: torch.Size) -> Tensor:
    return (
        x
        if x.shape[-2:] == size
        else functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
    )


def build(tasks: Mapping[str, Task], encoder: Callable[..., Encoder], options: Options) -> MtiNet:
    """Build the network for these tasks; `encoder()` builds the recipe's encoder."""
    return MtiNet(tasks, encoder(fuse="none"), options)
