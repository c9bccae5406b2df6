"""Networks that map tasks' predictions and labels into a joint space, by condition (MTPSL)."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Widths and numbers of layers of the stages of SegNet's encoder, and of a light one, whose input
#: layer has stride 2.
SEGNET = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
LIGHT = ((16, 1), (32, 1), (64, 1), (64, 1))
#: Widths of ResNet-18's stages, of two blocks each.
RESNET18 = (64, 128, 256, 512)


@dataclass(frozen=True)
class Norm:
    """How a mapping normalises.

    Args:
        by_map: normalise each map by itself, over its pixels, as batch norm does if it sees one map
            at a time (MTPSL's released code does so); else over all maps of a pass.
    """

    by_map: bool = True

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Normalise maps [m, c, h, w], then scale and shift the channels."""
        if not self.by_map:
            return _normalise_batch(x, weight, bias)
        # All channels of all maps are taken for those of one map. `torch.group_norm` takes twice
        # the time on a CPU.
        count = len(x)
        one_map = x.reshape(1, -1, *x.shape[2:])
        return _normalise_batch(one_map, weight.repeat(count), bias.repeat(count)).view_as(x)


def _normalise_batch(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise maps by their own statistics, as batch norm does.

    Unlike `functional.batch_norm` it takes a single pixel.
    """
    return torch.batch_norm(
        x, weight, bias, None, None, True, 0.0, 1e-5, torch.backends.cudnn.enabled
    )


class Layer(nn.Module):
    """A convolution, a norm, channels scaled and shifted by the condition, and ReLU.

    Source: MTPSL section 3.2, h ← a^c(A) ⊙ h + a^b(A), where a^c and a^b are linear in the one-hot
    condition A: one vector for each condition, 1 and 0 at the start.

    Args:
        conditions: their number; 0: the layer has none.
        rectify: end with ReLU.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        conditions: int,
        norm: Norm,
        *,
        kernel: int = 3,
        stride: int = 1,
        rectify: bool = True,
    ) -> None:
        super().__init__()
        self.rectify = rectify
        self.convolution = nn.Conv2d(inputs, width, kernel, stride, kernel // 2, bias=False)
        self.norm = norm
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.scale: nn.Parameter | None = None
        self.shift: nn.Parameter | None = None
        if conditions:
            self.scale = nn.Parameter(torch.ones(conditions, width))
            self.shift = nn.Parameter(torch.zeros(conditions, width))

    def normalise(self, x: Tensor) -> Tensor:
        """Compute what does not depend on the condition."""
        return self.norm(self.convolution(x), self.weight, self.bias)

    def apply_condition(self, x: Tensor, condition: Tensor) -> Tensor:
        """Change normalised maps [m, c, h, w] by the condition of each, [m]."""
        if self.scale is None or self.shift is None:
            return x
        return x * self.scale[condition][:, :, None, None] + self.shift[condition][:, :, None, None]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Maps [m, inputs, h, w] and the condition of each, [m] -> [m, width, h', w']."""
        x = self.apply_condition(self.normalise(x), condition)
        return torch.relu(x) if self.rectify else x


class Pool(nn.Module):
    """The maximum of 2×2 pixels; an odd side is rounded up."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Maps [m, c, h, w], whatever their condition -> [m, c, h', w']."""
        return functional.max_pool2d(x, 2, ceil_mode=True)


class ConditionalBlock(nn.Module):
    """A basic residual block of ResNet whose two layers have the condition.

    The last ReLU follows the sum.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        conditions: int,
        norm: Norm,
        stride: int,
        *,
        rectify: bool = True,
    ) -> None:
        super().__init__()
        self.rectify = rectify
        self.first = Layer(inputs, width, conditions, norm, stride=stride)
        self.second = Layer(width, width, conditions, norm)
        same = inputs == width and stride == 1
        self.shortcut = None if same else Layer(inputs, width, 0, norm, kernel=1, stride=stride)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Maps [m, inputs, h, w] and the condition of each, [m] -> [m, width, h', w']."""
        skipped = x
        if self.shortcut is not None:
            skipped = self.shortcut.normalise(x)
        hidden = self.second.normalise(self.first(x, condition))
        total = self.second.apply_condition(hidden, condition) + skipped
        return torch.relu(total) if self.rectify else total


class InputLayer(nn.Module):
    """A task's own layer, without condition: convolution, norm and ReLU.

    Args:
        layer: the convolution and the norm.
        pool: take the maximum of 3×3 pixels after them, as ResNet does.
    """

    def __init__(self, layer: Layer, *, pool: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, channels, h, w] -> [m, width, h', w']."""
        x = torch.relu(self.layer.normalise(maps))
        return functional.max_pool2d(x, 3, 2, 1) if self.pool else x


class JointMapping(nn.Module):
    """Maps of a task -> a joint space: an input layer for each task, then a body for all tasks.

    The condition changes the body. What does not depend on the condition is computed by `shared`:
    once for maps that are mapped under several.

    Args:
        inputs: the input layer of each task.
        first: the body's first layer, whose convolution and norm are shared; None: none is.
        rest: the rest of the body.
    """

    def __init__(
        self, inputs: Mapping[str, InputLayer], first: Layer | None, rest: Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.inputs = nn.ModuleDict(inputs)
        self.first = first
        self.rest = nn.ModuleList(rest)
        self.last = max(i for i, part in enumerate(rest) if not isinstance(part, Pool))

    def shared(self, task: str, maps: Tensor) -> Tensor:
        """Compute what no condition changes, of a task's maps [m, channels, h, w]."""
        x: Tensor = self.inputs[task](maps)
        return x if self.first is None else self.first.normalise(x)

    def forward(self, shared: Tensor, condition: Tensor) -> Tensor:
        """Outputs of `shared` and the condition of each, [m] -> joint maps [m, width, h', w']."""
        return self.from_last(self.before_last(shared, condition), condition)

    def from_last(self, x: Tensor, condition: Tensor) -> Tensor:
        """Compute the joint maps of what `before_last` returned under the same condition."""
        for part in self.rest[self.last :]:
            x = part(x, condition)
        return x

    def before_last(self, shared: Tensor, condition: Tensor) -> Tensor:
        """Compute as `forward` does, up to what the last layer or block reads (MTPSL figure 3)."""
        x = shared
        if self.first is not None:
            x = torch.relu(self.first.apply_condition(shared, condition))
        for part in self.rest[: self.last]:
            x = part(x, condition)
        return x

    def conditional(self) -> list[nn.Parameter]:
        """Return the parameters by which the condition changes the mapping."""
        parameters = []
        for module in self.modules():
            if isinstance(module, Layer) and module.scale is not None and module.shift is not None:
                parameters.extend([module.scale, module.shift])
        return parameters


def segnet_encoder(
    channels: Mapping[str, int],
    last: int,
    conditions: int,
    norm: Norm,
    stride: int = 32,
    *,
    rectify: bool = True,
    stages: Sequence[tuple[int, int]],
    inputs: int = 1,
) -> JointMapping:
    """Build SegNet's encoder, or one with the given stages: some layers each, then a maximum.

    The maximum is that of 2×2 pixels.

    Args:
        channels: the channels of each task's maps.
        last: width of the last stage.
        conditions: their number, 0 for a mapping without condition.
        norm: how it normalises.
        stride: the stride of the joint space, a power of 2 from `inputs` to 32; the last stages do
            without their maxima if it is below 32.
        rectify: the last layer ends with ReLU, too.
        stages: (width, layers) of each.
        inputs: stride of the input layers.

    Example:
        >>> mapping = segnet_encoder({"depth": 1}, 32, 2, Norm(), stages=LIGHT, inputs=2)
        >>> shared = mapping.shared("depth", torch.zeros(3, 1, 32, 64))
        >>> mapping(shared, torch.tensor([0, 0, 1])).shape
        torch.Size([3, 32, 1, 2])
    """
    stages = [*stages[:-1], (last, stages[-1][1])]
    layer_count = sum(count for _, count in stages)
    halvings = (stride // inputs).bit_length() - 1
    layers: list[Layer] = []
    parts: list[nn.Module] = []
    width_before = stages[0][0]
    for stage, (width, count) in enumerate(stages):
        for _ in range(count):
            is_last = len(layers) + 1 == layer_count
            layer = Layer(width_before, width, conditions, norm, rectify=rectify or not is_last)
            layers.append(layer)
            parts.append(layer)
            width_before = width
        if stage < halvings:
            parts.append(Pool())
    input_layers = {}
    for name, count in channels.items():
        input_layers[name] = InputLayer(Layer(count, stages[0][0], 0, norm, stride=inputs))
    return JointMapping(input_layers, layers[0], parts[1:])


def resnet18(
    channels: Mapping[str, int],
    last: int,
    conditions: int,
    norm: Norm,
    stride: int = 32,
    *,
    rectify: bool = True,
) -> JointMapping:
    """Build ResNet-18 with an input layer of each task, of stride 4, in place of its first layer.

    The arguments are those of `segnet_encoder`.

    Source: MTPSL section 4, for PASCAL. Deviation: it starts from random weights; whether the
    paper's does is not said.
    """
    widths = [64, *RESNET18[:-1], last]
    blocks = []
    for stage, (width_before, width) in enumerate(itertools.pairwise(widths)):
        halves = stage > 0 and 2**stage <= stride // 4
        is_last = stage + 1 == len(RESNET18)
        block = partial(ConditionalBlock, conditions=conditions, norm=norm)
        blocks.append(block(width_before, width, stride=2 if halves else 1))
        blocks.append(block(width, width, stride=1, rectify=rectify or not is_last))
    input_layers = {}
    for name, count in channels.items():
        input_layers[name] = InputLayer(Layer(count, 64, 0, norm, kernel=7, stride=2), pool=True)
    return JointMapping(input_layers, None, blocks)


#: The mappings by name, each with `channels`, `last`, `conditions`, `norm`, `stride` and `rectify`.
MAPPINGS: Mapping[str, Callable[..., JointMapping]] = {
    "segnet": partial(segnet_encoder, stages=SEGNET),
    "light": partial(segnet_encoder, stages=LIGHT, inputs=2),
    "resnet18": resnet18,
}
