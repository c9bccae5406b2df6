"""What every network offers: encode once, decode many times, predict more often still."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from torch import Tensor, nn

from labelgrid.pixel.target import Target

Raw = dict[str, Tensor]


@dataclass(frozen=True)
class Features:
    """What the encoder made of b images.

    A network whose encoder makes more subclasses it: fields that are tensors, tuples or mappings of them with a leading
    axis b are indexed and repeated along.

    Args:
        shared: [b, c, h, w], what all tasks start from: where gradients of tasks are balanced.
        levels: the encoder's maps, finest first.
    """

    shared: Tensor
    levels: tuple[Tensor, ...]

    @property
    def deepest(self) -> Tensor:
        """The coarsest map [b, d, h', w']."""
        return self.levels[-1]

    def pooled(self) -> Tensor:
        """[b, d]: the mean of the deepest map over its pixels, an embedding of each image."""
        return self.deepest.mean((2, 3))

    def __getitem__(self, rows: slice | Tensor) -> Self:
        """The features of some images of the batch."""
        return self._each(lambda part: part[rows])

    def repeat(self, n: int) -> Self:
        """Each image n times, its copies side by side: [n * b, ...].

        Example:
            >>> import torch
            >>> map = torch.tensor([1, 2]).view(2, 1, 1, 1)
            >>> Features(map, (map,)).repeat(2).shared.flatten()
            tensor([1, 1, 2, 2])
        """
        return self._each(lambda part: part.repeat_interleave(n, 0))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{field.name: _changed(getattr(self, field.name), change) for field in fields(self)})


def _changed(part: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(part, Tensor):
        return change(part)
    if isinstance(part, Mapping):
        return {key: _changed(value, change) for key, value in part.items()}
    return tuple(_changed(value, change) for value in part)


@dataclass(frozen=True)
class Output:
    """A network's raw outputs, by task.

    Args:
        initial: first-stage outputs, a dict a scale, finest first; empty for one-stage networks. Training sums the
            losses of all scales.
        final: the outputs that count, [b, channels, h', w'] at the heads' resolution.
        features: of the encoder.
        task_features: the final heads' features, just before their dropout and last convolution.
        initial_features: the initial heads' features, likewise, a dict a scale as in `initial`.
    """

    initial: tuple[Raw, ...]
    final: Raw
    features: Features
    task_features: Raw
    initial_features: tuple[Raw, ...] = ()


class Network(nn.Module):
    """A network that predicts several tasks from images [b, 3, h, w].

    `known` are labels of any size that replace initial predictions where valid; one-stage networks have no use
    for them. Laws (tests/contracts/test_networks.py): in evaluation mode no valid known label gives bitwise
    the output without `known`; an image's labels leave the others' outputs untouched; a task's own label never
    reaches its own output.

    Args:
        encoder: all that `encode` runs, whatever it is; frozen statistics and shared parameters are looked for here.
    """

    encoder: nn.Module

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
