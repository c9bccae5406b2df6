"""What every network offers: encode once, decode many times, predict more often still."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from labelgrid.pixel.target import Target

Raw = dict[str, Tensor]


@dataclass(frozen=True)
class Features:
    """What the encoder made: the fused map [b, c, h, w] and the deepest map [b, c', h', w']."""

    fused: Tensor
    deepest: Tensor


@dataclass(frozen=True)
class Output:
    """A network's raw outputs, by task.

    Args:
        initial: first-stage outputs, a dict a scale, finest first; empty for one-stage networks.
        final: the outputs that count, [b, channels, h', w'] at the heads' resolution.
        features: of the encoder.
        task_features: the final heads' features, just before their dropout and last convolution.
    """

    initial: tuple[Raw, ...]
    final: Raw
    features: Features
    task_features: Raw


class Network(nn.Module):
    """A network that predicts several tasks from images [b, 3, h, w].

    `known` are labels of any size that replace initial predictions where valid; one-stage networks have no use
    for them. Laws (tests/contracts/test_networks.py): in evaluation mode no valid known label gives bitwise
    the output without `known`; an image's labels leave the others' outputs untouched; a task's own label never
    reaches its own output.
    """

    def encode(self, image: Tensor) -> Features:
        """The encoder alone."""
        raise NotImplementedError

    def decode(self, features: Features, known: Mapping[str, Target] | None = None) -> Output:
        """Everything after the encoder; the initial heads' dropout acts here."""
        raise NotImplementedError

    def predict(self, task_features: Raw) -> Raw:
        """The last dropout and convolution of the final heads: what `decode` ends with."""
        raise NotImplementedError

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that every task's loss depends on, where balancers compare tasks: the encoder's."""
        return [p for p in self.get_submodule("encoder").parameters() if p.requires_grad]

    def forward(self, image: Tensor, known: Mapping[str, Target] | None = None) -> Output:
        """Encode and decode."""
        return self.decode(self.encode(image), known)

    def __call__(self, *args: Any, **kwargs: Any) -> Output:
        """As `forward`."""
        output: Output = super().__call__(*args, **kwargs)
        return output
