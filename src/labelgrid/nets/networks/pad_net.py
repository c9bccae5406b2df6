"""PAD-Net: distils each task's initial prediction into the others, and makes final predictions.

Each task's initial prediction is embedded and passed to the other tasks through attention gates (Xu
et al. 2018; PartAL figure 3). Known labels replace initial predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import bottlenecks, last_layers, run_each
from labelgrid.nets.distillation import Exchange, reason_to_ignore_known
from labelgrid.nets.encoder_options import WIDEST, ExchangeOptions
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.pixel.target import Targets
from labelgrid.tasks.task import Tasks


@dataclass(frozen=True, kw_only=True)
class Options(ExchangeOptions):
    """Widths and switches; PartAL does not give the dropout.

    Args:
        width: channels of heads and messages, a multiple of 4; 256 in the papers, 48 in `small`.
    """

    width: int = 256

    def __post_init__(self) -> None:
        if not 4 <= self.width <= WIDEST or self.width % 4:
            raise ValueError(f"width must be a multiple of 4 up to {WIDEST}; it is {self.width}")


class PadNet(Network, Exchange):
    """Encoder, initial heads, distillation of embedded predictions, final heads.

    Source: Xu et al. 2018; PartAL section 3.3 (known labels replace initial predictions).
    """

    def __init__(self, tasks: Tasks, encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.encoder = encoder
        self.ignores_known = reason_to_ignore_known(options)
        width = options.width
        rate = options.dropout
        inputs = encoder.channels
        self.dropout = ChannelDropout(options.encoder_dropout, inputs, "encoder")
        self.initial_bodies = nn.ModuleDict({name: bottlenecks(inputs, width) for name in tasks})
        self.initial = last_layers(tasks, width, rate, "initial")
        self.add_exchange(tasks, width, options)
        self.final_bodies = nn.ModuleDict({name: bottlenecks(width, width) for name in tasks})
        self.final = last_layers(tasks, width, rate, "final")

    def decode(self, features: Features, known: Targets | None = None) -> Output:
        """Run both stages.

        A task's own feature does not depend on its own label; messages use the other tasks' labels.
        """
        fused = self.dropout(features.shared)
        heads = {name: body(fused) for name, body in self.initial_bodies.items()}
        initial = run_each(self.initial, heads)
        refined = self.refine(heads, initial, known)
        task_features = run_each(self.final_bodies, refined)
        return Output(
            initial=(initial,),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
            initial_features=(heads,),
        )

    def predict(self, task_features: Raw) -> Raw:
        """Run the final heads' dropout and last convolution."""
        return run_each(self.final, task_features)


def build(tasks: Tasks, encoder: Callable[[], Encoder], options: Options) -> PadNet:
    """Build the network for these tasks; `encoder()` builds the recipe's encoder."""
    return PadNet(tasks, encoder(), options)
