"""Makes maps at 1/4 to 1/32 of the image from a vision transformer of one resolution."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from labelgrid.nets.late_compiler import timm

#: The strides of the maps.
STRIDES = (4, 8, 16, 32)
#: The stride of the transformer's own maps, in pixels of the image: an image is resized for patches
#: of another size.
PATCH = 16
#: timm's modules of plain vision transformers. Others, such as Swin's, have maps of several scales,
#: or none.
MODULES = frozenset({"timm.models.vision_transformer", "timm.models.deit", "timm.models.eva"})


def is_transformer(name: str) -> bool:
    """Whether timm's model of this name is a plain vision transformer.

    Example:
        >>> is_transformer("hf-hub:timm/vit_small_patch14_dinov2.lvd142m")
        True
        >>> is_transformer("resnet18")
        False
    """
    return module_of(name) in MODULES


def module_of(name: str) -> str:
    """The module of timm that defines a model; "" for a name that timm does not know.

    Example:
        >>> module_of("hrnet_w18_small_v2.ms_in1k")
        'timm.models.hrnet'
    """
    model = name.rpartition("/")[2].partition(".")[0]
    if not timm.is_model(model):
        return ""
    return timm.model_entrypoint(model).__module__


class TransformerPyramid(nn.Module):
    """Makes a map [b, width, h / s, w / s] for each of s = 4, 8, 16, 32.

    Each is made from one of four blocks, which are spread evenly. Transposed convolutions upsample
    the maps of the earlier blocks, max-pooling halves the map of the last. Images have sides that
    are multiples of 32. For patches of 14 pixels an image is resized by 14/16.

    Args:
        transformer: timm's, without a classifier, for images of any size.
        width: channels of the maps.

    Source: Li et al. 2022 (ViTDet) for the layers; Ranftl et al. 2021 (DPT) for reading four
    blocks.
    """

    def __init__(self, transformer: Any, width: int) -> None:
        super().__init__()
        self.transformer = transformer
        depth = len(transformer.blocks)
        inputs = transformer.num_features
        self.blocks = [depth // 4 - 1, depth // 2 - 1, 3 * depth // 4 - 1, depth - 1]
        self.patch: int = transformer.patch_embed.patch_size[0]
        self.layers = nn.ModuleList(
            (
                nn.Sequential(*_upsampling(inputs, width), *_upsampling(width, width)),
                nn.Sequential(*_upsampling(inputs, width)),
                nn.Sequential(*_pointwise(inputs, width)),
                nn.Sequential(nn.MaxPool2d(2), *_pointwise(inputs, width)),
            )
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """The maps of images [b, 3, h, w], finest first."""
        if self.patch != PATCH:
            height, width = image.shape[-2:]
            size = (height * self.patch // PATCH, width * self.patch // PATCH)
            image = functional.interpolate(
                image, size=size, mode="bilinear", align_corners=False, antialias=True
            )
        maps = self.transformer.forward_intermediates(
            image, indices=self.blocks, norm=True, intermediates_only=True
        )
        return [layer(x) for layer, x in zip(self.layers, maps, strict=True)]


def _upsampling(inputs: int, width: int) -> tuple[nn.Module, ...]:
    """Layers that double the resolution."""
    return nn.ConvTranspose2d(inputs, width, 2, 2, bias=False), nn.BatchNorm2d(width), nn.GELU()


def _pointwise(inputs: int, width: int) -> tuple[nn.Module, ...]:
    """Layers that change the number of channels alone."""
    return nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()
