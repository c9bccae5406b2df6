"""MTI-Net: PAD-Net's two stages at each scale of the encoder, from coarse to fine.

The final heads read all scales.

At each scale the tasks make initial predictions. Their features go to the next finer scale, their
embedded predictions to the other tasks of the same scale. Known labels replace initial predictions
at each scale; they never reach another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from labelgrid.basics.config import check_ranges
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import basic_blocks, last_layers, pointwise, resize, run_each
from labelgrid.nets.distillation import Exchange, reason_to_ignore_known
from labelgrid.nets.encoder_options import WIDEST, ExchangeOptions
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.pixel.target import Targets
from labelgrid.tasks.task import Tasks

#: Channels of a squeezed map are an nth of the map's.
SQUEEZE = 16


@dataclass(frozen=True, kw_only=True)
class Options(ExchangeOptions):
    """Switches; MTI-Net's code has no dropout.

    Args:
        width: channels that 1×1 convolutions reduce each scale of the encoder to; 0: the encoder's,
            as published.
        propagate: the softmax of the propagation compares the `"tasks"` at each channel (the
            paper), or in `"public"` as many neighbouring channels as there are tasks (public code).
    """

    propagate: Literal["tasks", "public"] = "tasks"
    width: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, width=(0, WIDEST))


class ScaleHeads(Exchange):
    """The initial heads and the distillation of one scale.

    Args:
        tasks: the tasks by name.
        inputs: channels of a task's input.
        width: channels of the scale.
        options: the options of the network.
    """

    def __init__(self, tasks: Tasks, inputs: int, width: int, options: Options) -> None:
        super().__init__()
        bodies = {name: basic_blocks(inputs, width, width) for name in tasks}
        self.bodies = nn.ModuleDict(bodies)
        self.initial = last_layers(tasks, width, options.dropout, "initial")
        self.add_exchange(tasks, width, options)

    def start(self, inputs: Raw) -> tuple[Raw, Raw]:
        """The initial heads' features and their raw outputs."""
        features = run_each(self.bodies, inputs)
        initial = run_each(self.initial, features)
        return features, initial


class MtiNet(Network):
    """Encoder, for each scale initial heads and distillation, then the final heads.

    Features propagate from each scale to the next finer one.

    `Features.shared` is the encoder's coarsest map, but the tasks read its other maps, too:
    balancers take gradients at the parameters (`at = "parameters"`).

    Source: Vandenhende et al. 2020 (MTI-Net); TCD's second network. The survey's head reads all
    scales.
    """

    def __init__(self, tasks: Tasks, encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.encoder = encoder
        self.ignores_known = reason_to_ignore_known(options)
        names = list(tasks)
        self.dropout = nn.ModuleList()
        self.reduce = nn.ModuleList()
        widths = []
        for width in encoder.level_channels:
            self.dropout.append(ChannelDropout(options.encoder_dropout, width, "encoder"))
            self.reduce.append(pointwise(width, options.width) if options.width else nn.Identity())
            widths.append(options.width or width)
        coarser_widths = (*widths[1:], 0)
        self.scales = nn.ModuleList()
        for width, coarser in zip(widths, coarser_widths, strict=True):
            self.scales.append(ScaleHeads(tasks, width + coarser, width, options))
        over: Literal["tasks", "neighbours"] = "tasks"
        if options.propagate == "public":
            over = "neighbours"
        self.propagate = nn.ModuleList()
        for width in widths[1:]:
            self.propagate.append(Propagation(names, width, over))
        total = sum(widths)
        self.final_bodies = nn.ModuleDict({name: pointwise(total, total) for name in names})
        self.final = last_layers(tasks, total, options.dropout, "final")

    def decode(self, features: Features, known: Targets | None = None) -> Output:
        """Run all scales from the coarsest on, then the final heads."""
        levels = []
        for drop, reduce, level in zip(self.dropout, self.reduce, features.levels, strict=True):
            levels.append(reduce(drop(level)))
        # Each list is of scales, from the coarsest on.
        initial = []
        heads = []
        refined = []
        coarser = None
        for number in reversed(range(len(levels))):
            scale = self.scales[number]
            inputs = self._inputs(number, levels[number], coarser)
            coarser, raw = scale.start(inputs)  # type: ignore[operator]
            heads.append(coarser)
            initial.append(raw)
            refined.append(scale.refine(coarser, raw, known))  # type: ignore[operator]
        task_features = {}
        for name, body in self.final_bodies.items():
            maps = [_resize(scale[name], levels[0].shape[-2:]) for scale in reversed(refined)]
            task_features[name] = body(torch.cat(maps, 1))
        return Output(
            initial=tuple(initial[::-1]),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
            initial_features=tuple(heads[::-1]),
        )

    def _inputs(self, number: int, level: Tensor, coarser: Raw | None) -> Raw:
        if coarser is None:
            return dict.fromkeys(self.final_bodies, level)
        propagated: Raw = self.propagate[number](coarser)
        inputs = {}
        for name, x in propagated.items():
            inputs[name] = torch.cat([level, _resize(x, level.shape[-2:])], 1)
        return inputs

    def predict(self, task_features: Raw) -> Raw:
        """Run the final heads' dropout and last convolution."""
        return run_each(self.final, task_features)


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    # An exported graph has no condition on a size; resizing to the same size changes nothing.
    if not torch.compiler.is_exporting() and x.shape[-2:] == size:
        return x
    return resize(x, size)


def build(tasks: Tasks, encoder: Callable[..., Encoder], options: Options) -> MtiNet:
    """Build the network for these tasks; `encoder()` builds the recipe's encoder."""
    return MtiNet(tasks, encoder(fuse="none"), options)


class Propagation(nn.Module):
    """A softmax over tasks weighs the tasks' features into a shared map.

    Each task adds the map, with its channels weighed for the task, to its features.

    Deviation: in the public code the softmax does not compare the tasks at one channel. The
    concatenation has all channels of the first task, then all of the second, but its view reads one
    channel of each task in turn. So with K tasks the softmax runs over K neighbouring channels of
    the concatenation. `over = "neighbours"` does the same.

    Args:
        names: the names of the tasks.
        width: channels of each task's features.
        over: what the softmax runs over: the `"tasks"`, or the `"neighbours"` of the public code.

    Source: Vandenhende et al. 2020 (MTI-Net), section 3.3, and its public code.
    """

    def __init__(
        self, names: Sequence[str], width: int, over: Literal["tasks", "neighbours"] = "tasks"
    ) -> None:
        super().__init__()
        self.names = list(names)
        self.over = over
        total = width * len(self.names)
        narrow = max(total // 4, 1)
        self.weigh = nn.Sequential(basic_blocks(total, narrow, narrow), nn.Conv2d(narrow, total, 1))
        self.reduce = basic_blocks(total, width)
        self.excite = nn.ModuleDict()
        for name in self.names:
            self.excite[name] = Excitation(width)

    def forward(self, features: Raw) -> Raw:
        """Refine the tasks' features [b, width, h, w]."""
        stacked = torch.stack([features[name] for name in self.names], 1)
        count, tasks, width, *size = stacked.shape
        joined = stacked.flatten(1, 2)
        scores = self.weigh(joined)
        if self.over == "tasks":
            weights = scores.view(count, tasks, width, *size).softmax(1)
        else:
            weights = scores.view(count, width, tasks, *size).softmax(2)
        shared = self.reduce(joined * weights.flatten(1, 2))
        return {name: features[name] + self.excite[name](shared) for name in self.names}


class Excitation(nn.Module):
    """Weighs channels by numbers that a small network computes from the means of channels.

    Source: Hu et al. 2018 (squeeze and excitation).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(width // SQUEEZE, 1)
        layers = (nn.Linear(width, narrow), nn.ReLU(), nn.Linear(narrow, width), nn.Sigmoid())
        self.factors = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of maps [b, width, h, w]."""
        return x * self.factors(x.mean((2, 3)))[:, :, None, None]
