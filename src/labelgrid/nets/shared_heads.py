"""One encoder, one head a task: the plain multi-task network every other is measured against.

A head is a convolution, batch norm, ReLU and a 1×1 convolution. There is one stage, so known labels change nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from labelgrid.nets.backbones import Encoder
from labelgrid.nets.blocks import Predict
from labelgrid.nets.dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.nets.options import check_rates
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task


@dataclass(frozen=True)
class Options:
    """The heads.

    Args:
        width: channels of a head; 0 keeps those of the fused map, as the survey's HRNet head does.
        kernel: size of a head's first convolution; the survey's is 1, `small-shared-heads` takes 3.
        dropout: rate of the channel dropout before each head's last convolution; PartAL does not give it.
        encoder_dropout: rate of the channel dropout of the encoder's fused map.
    """

    width: int = 0
    kernel: int = 1
    dropout: float = 0.2
    encoder_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 0 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"width must be at least 0 and kernel odd; they are {self.width} and {self.kernel}")
        check_rates(self.dropout, self.encoder_dropout)


class SharedHeads(Network):
    """Encoder, then for each task a convolution, batch norm, ReLU, dropout and a 1×1 convolution.

    Source: Vandenhende et al. 2021, the multi-task baseline; MTPSL section 3.1.
    """

    def __init__(self, tasks: Mapping[str, Task], encoder: Encoder, options: Options) -> None:
        super().__init__()
        self.encoder = encoder
        width = options.width or encoder.channels
        self.dropout = ChannelDropout(options.encoder_dropout, encoder.channels, "encoder")
        self.bodies = nn.ModuleDict({name: self._body(encoder.channels, width, options.kernel) for name in tasks})
        self.last = nn.ModuleDict(
            {name: Predict(width, task.channels, options.dropout, "final") for name, task in tasks.items()}
        )

    @staticmethod
    def _body(inputs: int, width: int, kernel: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, width, kernel, padding=kernel // 2)
        return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def encode(self, image: Tensor) -> Features:
        """The encoder alone."""
        features: Features = self.encoder(image)
        return features

    def decode(self, features: Features, known: Mapping[str, Target] | None = None) -> Output:
        """The heads; a one-stage network has no use for known labels."""
        fused = self.dropout(features.shared)
        task_features = {name: body(fused) for name, body in self.bodies.items()}
        return Output((), self.predict(task_features), features, task_features)

    def predict(self, task_features: Raw) -> Raw:
        """The heads' dropout and last convolution."""
        return {name: self.last[name](x) for name, x in task_features.items()}


def build(tasks: Mapping[str, Task], encoder: Callable[[], Encoder], options: Options) -> SharedHeads:
    """The network of these tasks; `encoder` makes the recipe's."""
    return SharedHeads(tasks, encoder(), options)
