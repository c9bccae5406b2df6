"""Builds SegNet's encoder and decoder as in MTAN's "split" network, and the heads on its map.

The map has the image's resolution. A layer is a 3×3 convolution, batch norm and ReLU. The encoder
has five stages, each of two or three layers and a 2×2 max-pooling. The decoder mirrors them: it
puts each value back where its maximum was (Badrinarayanan, Kendall & Cipolla 2017; Liu, Johns &
Davison 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from labelgrid.nets.encoder_options import Stages
from labelgrid.nets.network import Features
from labelgrid.nets.padding import crop_padding, pad_to_multiple
from labelgrid.tasks.task import Tasks

#: The filters of the stages, finest first, as multiples of the first stage's.
TIMES = (1, 2, 4, 8, 8)
#: Those of the `"wide"` stages.
WIDE_TIMES = (1, 2, 4, 8, 16)
#: The factor between the sides of the image and of the deepest map.
COARSEST = 2 ** len(TIMES)
#: Why other programs would compute something else than a network with max-unpooling.
UNPORTABLE = (
    "puts values back where maxima were, and where two values are almost equal another program may "
    "take the other one"
)
#: Makes the norm of a layer with so many channels.
MakeNorm = Callable[[int], nn.Module]


def per_image_norm(channels: int) -> nn.Module:
    """A norm of each map of each image by itself.

    The result is that of batch norm in training on a single image.

    Example:
        >>> import torch
        >>> maps = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(2, 1, 1, 2)
        >>> per_image_norm(1)(maps).detach().flatten().round()
        tensor([-1.,  1., -1.,  1.])
    """
    return nn.GroupNorm(channels, channels)


def layer(
    inputs: int, outputs: int, norm: MakeNorm = nn.BatchNorm2d, convolutions: int = 1
) -> nn.Sequential:
    """A 3×3 convolution, batch norm or another norm, and ReLU; or several of these.

    Example:
        >>> import torch
        >>> layer(3, 8)(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """
    parts = []
    for before in (inputs, *[outputs] * (convolutions - 1)):
        convolution = nn.Conv2d(before, outputs, 3, padding=1)
        parts += [convolution, norm(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


def remaining_layers(
    stage: int, width: int, make: Callable[[int, int], nn.Sequential]
) -> nn.Sequential:
    """The layers of a stage after the first: a single layer in the two finest stages, else two."""
    if stage < 2:
        return nn.Sequential(make(width, width))
    return nn.Sequential(make(width, width), make(width, width))


def initialise(network: nn.Module) -> None:
    """Draw the weights of all convolutions as MTAN does: Xavier-normal, with zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def heads(width: int, tasks: Tasks) -> nn.ModuleDict:
    """The 3×3 convolution of each task's head, without batch norm and ReLU.

    A 1×1 convolution follows it.
    """
    return nn.ModuleDict({name: nn.Conv2d(width, width, 3, padding=1) for name in tasks})


@dataclass(frozen=True)
class StageFeatures(Features):
    """Features with the maps of all stages, which span the padded image.

    All are ordered from the finest stage.

    Args:
        first: the outputs of the encoder's first layers.
        second: the outputs of its last layers, before the pooling.
        raised: the unpooled maps, the decoder's inputs.
        decoded: the decoder's outputs, without the finest stage's, which is `shared`.
    """

    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    raised: tuple[Tensor, ...]
    decoded: tuple[Tensor, ...]


class EncoderDecoder(nn.Module):
    """The encoder and decoder, which all tasks share.

    `filters` are those of the stages, finest first.

    Images [b, 3, h, w] of any size are padded with zeros at the bottom and right to multiples of
    32. The decoder's last map and the pooled maps are cropped to the image, so that their cells
    span exactly the image.

    Args:
        width: filters of the first stage; the others have 2, 4, 8 and 8 times as many.
        inputs: channels of the images, or of other maps.
        norm: makes the norms.
        stages: `"wide"`: the last stage has 16 times as many; `"deep"`: a layer is two
            convolutions, each with its norm and ReLU.

    Example:
        >>> import torch
        >>> features = EncoderDecoder(4)(torch.zeros(1, 3, 40, 64))
        >>> features.shared.shape, features.deepest.shape
        (torch.Size([1, 4, 40, 64]), torch.Size([1, 32, 2, 2]))
    """

    def __init__(
        self,
        width: int,
        inputs: int = 3,
        norm: MakeNorm = nn.BatchNorm2d,
        stages: Stages = "standard",
    ) -> None:
        super().__init__()
        all_times = WIDE_TIMES if stages == "wide" else TIMES
        make = partial(layer, norm=norm, convolutions=2 if stages == "deep" else 1)
        self.filters = tuple(width * times for times in all_times)
        down = list(pairwise((inputs, *self.filters)))
        up = list(pairwise((width, *self.filters)))
        # One list after the other: the order decides the random weights.
        self.first = nn.ModuleList()
        for before, after in down:
            self.first.append(make(before, after))
        self.second = nn.ModuleList()
        for stage, (_, after) in enumerate(down):
            self.second.append(remaining_layers(stage, after, make))
        self.first_up = nn.ModuleList()
        for fine, coarse in up:
            self.first_up.append(make(coarse, fine))
        self.second_up = nn.ModuleList()
        for stage, (fine, _) in enumerate(up):
            self.second_up.append(remaining_layers(stage, fine, make))

    def forward(self, image: Tensor) -> Features:
        """Encode images [b, 3, h, w].

        Returns:
            The decoder's last map [b, width, h, w], and the encoder's pooled maps.
        """
        features = self.stages(image)
        return Features(features.shared, features.levels)

    def stages(self, image: Tensor) -> StageFeatures:
        """As `forward`, with the maps of all stages."""
        height, width = image.shape[-2:]
        first, second, pooled, places = self._encode(image)
        raised = []
        decoded = []
        x = pooled[-1]
        for stage in reversed(range(len(TIMES))):
            unpooled = functional.max_unpool2d(x, places[stage], (2, 2))
            x = self.second_up[stage](self.first_up[stage](unpooled))
            raised.append(unpooled)
            decoded.append(x)
        *coarser, finest = decoded
        levels = []
        for i, level in enumerate(pooled):
            levels.append(crop_padding(level, 2 ** (i + 1), height, width))
        return StageFeatures(
            shared=finest[..., :height, :width],
            levels=tuple(levels),
            first=tuple(first),
            second=tuple(second),
            raised=tuple(raised[::-1]),
            decoded=tuple(coarser[::-1]),
        )

    def codes(self, image: Tensor) -> Tensor:
        """The deepest pooled map [b, 8 width, h', w'] of images; the decoder does not run."""
        height, width = image.shape[-2:]
        _, _, pooled, _ = self._encode(image)
        return crop_padding(pooled[-1], COARSEST, height, width)

    def _encode(self, image: Tensor) -> tuple[list[Tensor], ...]:
        """Run the encoder.

        Returns: For each stage the outputs of the first and the last layers, the pooled map, and
        the positions of its maxima.
        """
        first = []
        second = []
        pooled = []
        places = []
        x = pad_to_multiple(image, COARSEST)
        for first_layer, other_layers in zip(self.first, self.second, strict=True):
            first.append(first_layer(x))
            second.append(other_layers(first[-1]))
            x, place = functional.max_pool2d(second[-1], 2, return_indices=True)
            pooled.append(x)
            places.append(place)
        return first, second, pooled, places
