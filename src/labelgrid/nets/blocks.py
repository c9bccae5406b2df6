"""Provides the blocks of networks, and known labels as initial predictions."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.type_names import Size
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.nets.late_compiler import BasicBlock, Bottleneck
from labelgrid.nets.network import Raw
from labelgrid.pixel.target import Target, Targets
from labelgrid.tasks.task import Task, Tasks


def bottlenecks(inputs: int, width: int) -> nn.Sequential:
    """Two bottleneck blocks to `width` channels, as in PAD-Net's heads.

    The first has a 1×1 shortcut if `inputs` differ.

    Example:
        >>> bottlenecks(8, 16)(torch.zeros(2, 8, 4, 4)).shape
        torch.Size([2, 16, 4, 4])
    """
    shortcut = None if inputs == width else _shortcut(inputs, width)
    return nn.Sequential(
        Bottleneck(inputs, width // 4, downsample=shortcut), Bottleneck(width, width // 4)
    )


def basic_blocks(inputs: int, width: int, outputs: int | None = None) -> nn.Sequential:
    """A basic block to `width` channels, and with `outputs` a second one to `outputs` channels.

    A block whose inputs and outputs differ has a 1×1 shortcut.

    Example:
        >>> basic_blocks(8, 16, 16)(torch.zeros(2, 8, 4, 4)).shape
        torch.Size([2, 16, 4, 4])
    """
    widths = [inputs, width]
    if outputs is not None:
        widths.append(outputs)
    blocks = nn.Sequential()
    for before, after in pairwise(widths):
        shortcut = None if before == after else _shortcut(before, after)
        blocks.append(BasicBlock(before, after, downsample=shortcut))
    return blocks


def pointwise(inputs: int, width: int) -> nn.Sequential:
    """A 1×1 convolution, batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def _shortcut(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))


def resize(maps: Tensor, size: torch.Size) -> Tensor:
    """Resize maps [b, c, h, w] to a height and a width (bilinear)."""
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


class Predict(nn.Module):
    """The dropout and the last 1×1 convolution of a head, from features to raw outputs."""

    def __init__(self, width: int, channels: int, dropout: float, stage: str) -> None:
        super().__init__()
        self.dropout = ChannelDropout(dropout, width, stage)
        self.dropout.takes_passes = True
        self.convolution = nn.Conv2d(width, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [b, width, h, w] to raw outputs [b, channels, h, w].

        With the masks of d passes: to [b * d, channels, h, w], an image's next to each other.
        """
        factors = self.dropout.factors(features)
        if factors is None:
            return self.convolution(features)
        # Applying the factors to the weights gives the same sums, and needs no masked copy of the
        # features. Rows of pixels give the gradients the layout of features in training.
        bias = self.convolution.get_parameter("bias")
        masked = self.convolution.weight.flatten(1) * factors.flatten(-3)[..., None, :]
        if self.training:
            pixels = features.permute(0, 2, 3, 1)
            raw = torch.baddbmm(bias, pixels.flatten(1, 2), masked.mT)
            return raw.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)
        masked = masked.flatten(1, -2)
        passes = masked.shape[1] // len(bias)
        raw = torch.baddbmm(bias.repeat(passes)[:, None], masked, features.flatten(2))
        return raw.view(-1, len(bias), *features.shape[2:])


def last_layers(tasks: Tasks, width: int, dropout: float, stage: str) -> nn.ModuleDict:
    """The last layers of each task's head, by task."""
    return nn.ModuleDict(
        {name: Predict(width, task.channels, dropout, stage) for name, task in tasks.items()}
    )


def run_each(layers: nn.ModuleDict, maps: Raw) -> Raw:
    """Run each task's layers on the task's map."""
    return {name: layers[name](x) for name, x in maps.items()}


def activate(tasks: Tasks, raw: Raw) -> Raw:
    """Convert the tasks' raw outputs to predictions."""
    return {name: tasks[name].activate(x) for name, x in raw.items()}


def known_prediction(task: Task, target: Target, size: Size) -> tuple[Tensor, Tensor]:
    """Convert a label to a prediction at the heads' size.

    Each value is the label's mean over the valid pixels of the output pixel's area.

    Returns:
        The values [b, channels, h, w], and a mask, bool [b, 1, h, w]: valid if at least half of the
            area is valid.
    """
    valid = target.valid.float()
    share = area_means(valid, size)
    total = area_means(task.as_prediction(target.safe()) * valid, size)
    return task.from_mean(total / share.clamp(min=1e-6)), share >= 0.5


def insert_known_labels(tasks: Tasks, predictions: Raw, known_labels: Targets | None) -> Raw:
    """Replace initial predictions by known labels where these are valid (PartAL section 3.3)."""
    replaced = dict(predictions)
    for name, target in (known_labels or {}).items():
        height, width = predictions[name].shape[-2:]
        value, valid = known_prediction(tasks[name], target, (height, width))
        replaced[name] = torch.where(valid, value.to(predictions[name].dtype), predictions[name])
    return replaced


def area_means(values: Tensor, size: Size) -> Tensor:
    """The means of maps [b, c, h, w] over the area of each pixel of a grid: [b, c, *size].

    Example:
        >>> area_means(torch.tensor([[[[0.0, 1.0, 4.0, 5.0]]]]), (1, 2))
        tensor([[[[0.5000, 4.5000]]]])
    """
    if torch.compiler.is_exporting():
        return _area_means(values, *size)
    return functional.adaptive_avg_pool2d(values, size)


@torch.library.custom_op("labelgrid::area_means", mutates_args=())
def _area_means(values: Tensor, height: int, width: int) -> Tensor:
    # An operator must not return its input.
    return area_means(values, (height, width)).clone()


@_area_means.register_fake
def _averaged(values: Tensor, height: int, width: int) -> Tensor:
    return values.new_empty((*values.shape[:2], height, width))
