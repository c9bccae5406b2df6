"""MTAN: each task attends to every stage of a shared SegNet by masks of its own.

A mask is computed from the shared map and from what the task took from the stage before (Liu, Johns
& Davison 2019). MTAN has an encoder of its own with random weights: `[backbone]` and `--weights`
are not used. Outputs have the image's resolution. There is one stage of predictions, so known
labels have no effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.config import check_ranges
from labelgrid.nets.blocks import last_layers, pointwise, run_each
from labelgrid.nets.encoder_options import WIDEST, DropoutOptions
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.nets.network import Features, Network, Output, Raw
from labelgrid.nets.unpooling import (
    UNPORTABLE,
    EncoderDecoder,
    StageFeatures,
    heads,
    initialise,
    layer,
)
from labelgrid.pixel.target import Targets
from labelgrid.tasks.task import Tasks


@dataclass(frozen=True, kw_only=True)
class Options(DropoutOptions):
    """The width, the upsampling, and dropout, of which MTAN has none.

    Args:
        width: filters of the first stage and of the heads; other stages have 2, 4, 8 and 8 times as
            many. 64 in MTAN; 8 or 16 trains on a CPU.
        align: how maps are upsampled bilinearly: `"centres"` keep every cell in its place; with
            `"corners"` the outermost cells' centres fall together (public code). The paper does not
            say.
    """

    own_encoder: ClassVar[bool] = True
    width: int = 64
    align: Literal["centres", "corners"] = "centres"

    def __post_init__(self) -> None:
        check_ranges(self, width=(1, WIDEST // 8))


def mask(inputs: int, width: int) -> nn.Sequential:
    """The layers of an attention mask [b, width, h, w] in 0 to 1.

    They are two 1×1 convolutions with batch norm.
    """
    return nn.Sequential(
        *pointwise(inputs, width), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.Sigmoid()
    )


class Attention(nn.Module):
    """One task's masks, for the encoder's and the decoder's stages, finest first.

    A mask of the encoder reads the shared map after the stage's first layer and multiplies the one
    after its last. A mask of the decoder reads the unpooled map and multiplies the stage's output.
    All but the first also read what the task took from the stage before.

    Source: Liu, Johns & Davison 2019, section 3.2, eqs. 1 and 2.
    """

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        finer = (filters[0], *filters[:-1])
        self.down = nn.ModuleList()
        self.down.append(mask(filters[0], filters[0]))
        for width in filters[1:]:
            self.down.append(mask(2 * width, width))
        self.up = nn.ModuleList()
        for fine, coarse in zip(finer, filters, strict=True):
            self.up.append(mask(coarse + fine, fine))


class Mtan(Network):
    """A shared encoder and decoder, masks for each task, then a head for each task.

    A head is a 3×3 convolution and a 1×1 convolution.

    `Features.shared` is the decoder's last shared map [b, width, h, w]: each task is predicted from
    its product with the task's last mask. That mask depends on the maps of all stages, too: a
    gradient at `shared` is not all that a task tells the shared layers. Balancers that weigh losses
    by `shared` work. A balancer that would pass on only a combined gradient of `shared` would leave
    the rest of the encoder untrained, because of the masks, and takes `shared_parameters` instead.
    `levels` are the encoder's five pooled maps. `task_features` are the inputs of the heads' last
    layers.

    The layers between the stages, `between` and `between_up`, are the same for all tasks, but run
    on each task's maps: they are no part of `encoder`, and in training normalise each task's maps
    by themselves.

    Deviation: a dropout of 0.2 before the last convolutions, so that MC-dropout has something to
    draw. Reading: upsampling by the centres of cells, see `align`. `dropout = 0` and `align =
    "corners"` are the public network.

    Source: Liu, Johns & Davison 2019 (MTAN), section 3, figure 2; widths and layers of the public
    code.
    """

    encoder: EncoderDecoder
    unportable = UNPORTABLE

    def __init__(self, tasks: Tasks, options: Options) -> None:
        super().__init__()
        width = options.width
        self.corners = options.align == "corners"
        self.encoder = EncoderDecoder(width)
        filters = self.encoder.filters
        self.dropout = ChannelDropout(options.encoder_dropout, width, "encoder")
        self.attention = nn.ModuleDict({name: Attention(filters) for name in tasks})
        self.between = nn.ModuleList()
        for fine, coarse in pairwise((*filters, filters[-1])):
            self.between.append(layer(fine, coarse))
        self.between_up = nn.ModuleList()
        for fine, coarse in pairwise((width, *filters)):
            self.between_up.append(layer(coarse, fine))
        self.bodies = heads(width, tasks)
        self.last = last_layers(tasks, width, options.dropout, "final")
        initialise(self)

    def encode(self, image: Tensor) -> StageFeatures:
        """Run the shared encoder and decoder."""
        return self.encoder.stages(image)

    def decode(self, features: Features, known: Targets | None = None) -> Output:
        """Run each task's masks and head; known labels are ignored."""
        if not isinstance(features, StageFeatures):
            raise TypeError("the masks read the maps of all stages; pass what `encode` returned")
        shared = self.dropout(features.shared)
        height, width = shared.shape[-2:]
        task_features = {}
        for name in self.attention:
            last_mask = self._last_mask(name, features)[..., :height, :width]
            task_features[name] = self.bodies[name](last_mask * shared)
        return Output(
            initial=(),
            final=self.predict(task_features),
            features=features,
            task_features=task_features,
        )

    def _last_mask(self, name: str, features: StageFeatures) -> Tensor:
        masks: Attention = self.attention[name]  # type: ignore[assignment]
        x = features.first[0]
        for stage, (first, second) in enumerate(zip(features.first, features.second, strict=True)):
            if stage > 0:
                x = torch.cat((first, x), 1)
            attended = masks.down[stage](x) * second
            x = functional.max_pool2d(self.between[stage](attended), 2)
        for stage in reversed(range(len(masks.up))):
            upsampled = functional.interpolate(
                x, scale_factor=2, mode="bilinear", align_corners=self.corners
            )
            inputs = torch.cat((features.raised[stage], self.between_up[stage](upsampled)), 1)
            x = masks.up[stage](inputs)
            if stage > 0:
                x = x * features.decoded[stage - 1]
        return x

    def predict(self, task_features: Raw) -> Raw:
        """Run the heads' dropout and last convolution."""
        return run_each(self.last, task_features)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The encoder's, and those of the layers between the stages."""
        shared = chain(
            super().shared_parameters(), self.between.parameters(), self.between_up.parameters()
        )
        return [value for value in shared if value.requires_grad]


def build(tasks: Tasks, encoder: object, options: Options) -> Mtan:
    """Build the network for these tasks; the recipe's encoder is not built."""
    return Mtan(tasks, options)
