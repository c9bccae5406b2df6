"""Defines the interface of networks: encode, decode and predict, and the returned records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from labelgrid.basics.type_names import Json
from labelgrid.pixel.target import Targets

Raw = dict[str, Tensor]


@dataclass(frozen=True)
class Features:
    """The encoder's features of b images.

    A network whose encoder returns more features subclasses it. Further fields must be tensors, or
    tuples or mappings of tensors, with a leading axis b; they are indexed and repeated, too.

    Args:
        shared: [b, c, h, w], the map from which all tasks are predicted and at which balancers
            compare gradients.
        levels: the encoder's maps, finest first.
    """

    shared: Tensor
    levels: tuple[Tensor, ...]

    @property
    def deepest(self) -> Tensor:
        """The coarsest map [b, d, h', w']."""
        return self.levels[-1]

    def pooled(self) -> Tensor:
        """An embedding of each image, [b, d]: the mean of the deepest map over its pixels."""
        return self.deepest.mean((2, 3))

    def __getitem__(self, rows: slice | Tensor) -> Self:
        """The features of some images of the batch."""
        return self.each(lambda part: part[rows])

    def repeat(self, n: int) -> Self:
        """Repeat each image n times, copies next to each other: [n * b, ...].

        Example:
            >>> import torch
            >>> map = torch.tensor([1, 2]).view(2, 1, 1, 1)
            >>> Features(map, (map,)).repeat(2).shared.flatten()
            tensor([1, 1, 2, 2])
        """
        return self.each(lambda part: part.repeat_interleave(n, 0))

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The features with each of their maps changed."""
        return replace(self, **_change_fields(self, change))


def _chunk(count: int, i: int, maps: Tensor) -> Tensor:
    return maps.chunk(count)[i]


def _change_fields(record: Any, change: Callable[[Tensor], Tensor]) -> Json:
    return {field.name: _change(getattr(record, field.name), change) for field in fields(record)}


def _change(maps: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(maps, Tensor):
        return change(maps)
    if isinstance(maps, Features):
        return maps.each(change)
    if isinstance(maps, Mapping):
        return {key: _change(value, change) for key, value in maps.items()}
    return tuple(_change(value, change) for value in maps)


@runtime_checkable
class WithGivenPart(Protocol):
    """An encoder with a part that starts from given weights.

    Attributes:
        rate: the learning rate of the part, times that of all other layers.
        frozen: whether the part stays as it is.
        source: where its weights are from, for messages.
    """

    rate: float
    frozen: bool
    source: str

    @property
    def given(self) -> nn.Module:
        """The part."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """A network's raw outputs, by task.

    Args:
        initial: the first stage's outputs, one dict per scale, finest first; empty for one-stage
            networks. Training sums the losses of all scales.
        final: the final outputs, [b, channels, h', w'] at the heads' resolution.
        features: the encoder's features.
        task_features: the final heads' features before their dropout and last convolution.
        initial_features: the initial heads' features before these layers, one dict per scale as in
            `initial`.
    """

    initial: tuple[Raw, ...]
    final: Raw
    features: Features
    task_features: Raw
    initial_features: tuple[Raw, ...] = ()

    def parts(self, count: int) -> list["Output"]:
        """The outputs of as many equal parts of the batch."""
        if count == 1:
            return [self]
        outputs = []
        for i in range(count):
            part = _change_fields(self, partial(_chunk, count, i))
            outputs.append(Output(**part))
        return outputs


class Network(nn.Module):
    """A network that predicts several tasks from images [b, 3, h, w].

    `known` holds labels of any size that replace initial predictions where valid; one-stage
    networks, and networks with a reason in `ignores_known`, ignore `known`. Laws
    (labelgrid.testing.networks): in evaluation mode, known labels without a valid pixel give
    bitwise the output without `known`; an image's labels do not change the outputs of other images;
    a task's own label never reaches its own output.

    Attributes:
        encoder: contains every module that `encode` runs; `norm = "frozen"` and `shared_parameters`
            use it.
        unportable: why other programs would compute something else than the network; "" if they
            compute the same.
        ignores_known: why a network of two stages ignores known labels; "" if it does not.
        undivided: why the images of a batch cannot be divided among processes that train together;
            "" if they can. Batch norm, whose statistics are then those of a process, is no reason.
    """

    encoder: nn.Module
    ignores_known: str = ""
    unportable: ClassVar[str] = ""
    undivided: ClassVar[str] = ""

    def encode(self, image: Tensor) -> Features:
        """Run the encoder.

        A network whose features are not what `encoder` returns overrides this.
        """
        return self.encoder(image)

    def decode(self, features: Features, known: Targets | None = None) -> Output:
        """Run everything after the encoder, including the initial heads' dropout."""
        raise NotImplementedError

    def predict(self, task_features: Raw) -> Raw:
        """Run the final heads' dropout and last convolution, as `decode` does at its end."""
        raise NotImplementedError

    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters that every task's loss depends on: the encoder's.

        Balancers compare tasks by them.
        """
        parameters = self.get_submodule("encoder").parameters()
        return [parameter for parameter in parameters if parameter.requires_grad]

    def forward(self, image: Tensor, known: Targets | None = None) -> Output:
        """Encode and decode."""
        return self.decode(self.encode(image), known)

    def __call__(self, *args: Any, **kwargs: Any) -> Output:
        """As `forward`."""
        return super().__call__(*args, **kwargs)


#: The sides of the image of `example_output`.
EXAMPLE_SIDE = 64


def example_output(network: Network) -> Output:
    """The network's output for a small image, to size modules that read outputs.

    The network is left as it was.
    """
    training = network.training
    device = next(network.parameters()).device
    image = torch.zeros(1, 3, EXAMPLE_SIDE, EXAMPLE_SIDE, device=device)
    with torch.no_grad():
        output = network.eval()(image)
    network.train(training)
    return output


def reason_to_ignore(network: Network) -> str:
    """Say why a network ignores known labels: it has one stage, or a reason in `ignores_known`.

    "" if it does not ignore them.
    """
    if not example_output(network).initial:
        return "has one stage"
    return network.ignores_known
