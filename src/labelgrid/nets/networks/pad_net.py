"""PAD-Net: makes initial predictions, distils each task's prediction into the others, and makes final predictions.

Each task's initial prediction is embedded and passed to the other tasks through attention gates (Xu
et al. 2018; PartAL figure 3). Known labels replace initial predictions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import Predict, bottlenecks, insert_known_labels
from labelgrid.nets.distillation import Distil, Embed
from labelgrid.nets.dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.nets.options import WIDEST, Rate
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Options:
    """Widths and switches.

    Args:
        width: channels of heads and messages, a multiple of 4; 256 in the papers, 48 in `small`.
        gate: the task whose features compute a message's gate: the `"target"` (PAD-Net's paper) or
            the `"source"` (public code).
        own: the input of a target's own feature: its initial `"prediction"` (the paper) or its
            initial head's `"features"` (public code). Messages always come from embedded
            predictions, so that a known label can replace a prediction.
        dropout: rate of the channel dropout before the last convolution of every head; PartAL gives
            neither the rate nor the layer.
        encoder_dropout: rate of the channel dropout on the encoder's fused map.
    """

    width: int = 256
    gate: Literal["target", "source"] = "target"
    own: Literal["prediction", "features"] = "prediction"
    dropout: Rate = 0.2
    encoder_dropout: Rate = 0.0

    def __post_init__(self) -> None:
        if not 4 <= self.width <= WIDEST or self.width % 4:
            raise ValueError(f"width must be a multiple of 4 up to {WIDEST}; it is {self.width}")


class PadNet(Network):
    """Encoder, initial heads, distillation of embedded predictions, final heads.

    Source: Xu et al. 2018; PartAL section 3.3 (known labels replace initial predictions).
    """

    def __init__(self, tasks: Mapping[str, Task], encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        self.encoder = encoder
        self.own = options.own
        width = options.width
        rate = options.dropout
        self.dropout = ChannelDropout(options.encoder_dropout, encoder.channels, "encoder")
        self.initial_bodies = nn.ModuleDict(
            {n: bottlenecks(encoder.channels, width) for n in tasks}
        )
        self.initial = nn.ModuleDict(
            {n: Predict(width, t.channels, rate, "initial") for n, t in tasks.items()}
        )
        self.embed = nn.ModuleDict({n: Embed(t.channels, width) for n, t in tasks.items()})
        self.distil = Distil(list(tasks), width, options.gate)
        self.final_bodies = nn.ModuleDict({n: bottlenecks(width, width) for n in tasks})
        self.final = nn.ModuleDict(
            {n: Predict(width, t.channels, rate, "final") for n, t in tasks.items()}
        )

    def decode(self, features: Features, known: Mapping[str, Target] | None = None) -> Output:
        """Run both stages.

        A task's own feature does not depend on its own label; its messages use the others'.
        """
        fused = self.dropout(features.shared)
        heads = {name: body(fused) for name, body in self.initial_bodies.items()}
        initial = {name: self.initial[name](x) for name, x in heads.items()}
        predictions = {name: self.tasks[name].activate(raw) for name, raw in initial.items()}
        sources = self._embed(
            insert_known_labels(self.tasks, predictions, known) if known else predictions
        )
        own = heads if self.own == "features" else self._embed(predictions) if known else sources
        refined = self.distil(own, sources)
        task_features = {name: body(refined[name]) for name, body in self.final_bodies.items()}
        return Output(
            initial=(initial,),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
            initial_features=(heads,),
        )

    def _embed(self, predictions: Raw) -> Raw:
        return {name: self.embed[name](x) for name, x in predictions.items()}

    def predict(self, task_features: Raw) -> Raw:
        """Run the final heads' dropout and last convolution."""
        return {name: self.final[name](x) for name, x in task_features.items()}


def build(tasks: Mapping[str, Task], encoder: Callable[[], Encoder], options: Options) -> PadNet:
    """Build the network for these tasks; `encoder()` builds the recipe's encoder."""
    return PadNet(tasks, encoder(), options)
