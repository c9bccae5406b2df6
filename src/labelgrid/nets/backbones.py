"""Builds encoders from timm backbones: loads the weights, and fuses the scales at 1/4."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, Self

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.errors import ModelError
from labelgrid.basics.files import open_regular, read_bytes
from labelgrid.basics.type_names import Json, Tables
from labelgrid.nets.blocks import pointwise, resize
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.hashes import key_of, weights_hash
from labelgrid.nets.kept_maps import KeptMaps, RememberedMaps
from labelgrid.nets.late_compiler import timm
from labelgrid.nets.network import Features
from labelgrid.nets.padding import crop_padding, pad_to_multiple
from labelgrid.pixel.target import Tensors

Fuse = Literal["mixed", "concatenated", "none"]

#: What timm's modules need to be told: HRNet to return its branches, not classification features;
#: Swin that images may have any size.
_ARGUMENTS: Tables = {
    "timm.models.hrnet": {"feature_location": ""},
    "timm.models.swin_transformer": {"strict_img_size": False},
    "timm.models.swin_transformer_v2": {"strict_img_size": False},
}
#: The strides of the maps.
STRIDES = (4, 8, 16, 32)
#: The stride of the transformer's own maps, in pixels of the image: an image is resized for patches
#: of another size.
PATCH = 16
#: The ends of the names of learnt tensors; old files hold others that are computed.
LEARNT = ("weight", "bias", "gamma")
#: timm's modules of plain vision transformers. Others, such as Swin's, have maps of several scales,
#: or none.
MODULES = frozenset({"timm.models.vision_transformer", "timm.models.deit", "timm.models.eva"})


class UnfetchedWeightsError(ModelError):
    """The pretrained weights of a backbone could not be fetched."""


class Encoder(nn.Module):
    """A timm backbone whose scales from 1/4 on become one map at 1/4.

    The scales are resized to 1/4, concatenated and mixed by a 1×1 convolution. The scales of a
    vision transformer are the maps of a `TransformerPyramid`.

    `channels` is the number of channels of the fused map. `level_channels` and `strides` describe
    the scales, finest first. If the coarsest stride does not divide the image's sides, the image
    is padded with zeros at the bottom and right (HRNet adds its scales, which fails if each is
    rounded separately), and the maps are cropped to the image: the cells of every map span exactly
    the image, as losses, labels and predictions at original size assume.

    A frozen encoder trains only what starts at random: the 1×1 convolution, and the layers of a
    `TransformerPyramid`. timm's module stays in evaluation mode without gradients, and its maps are
    rounded to half precision, so that stored maps are the same numbers.

    Args:
        options: the backbone.
        weights: a local file of the backbone's weights.
        fuse: how the scales become one map: `"mixed"` by the 1×1 convolution, `"concatenated"`
            without it if `options.fused` is 0, or `"none"`: the coarsest scale alone, without any
            layer.

    Example:
        >>> encoder = Encoder(BackboneOptions(name="mobilenetv2_035", pretrained=False, fused=16))
        >>> encoder(torch.zeros(1, 3, 32, 64)).shared.shape
        torch.Size([1, 16, 8, 16])
    """

    def __init__(
        self, options: BackboneOptions, weights: Path | None = None, *, fuse: Fuse = "mixed"
    ) -> None:
        super().__init__()
        self.backbone = _create(options, load=options.pretrained and weights is None)
        if options.upsample == "bilinear":
            _upsample_bilinearly(self.backbone, options.name)
        if weights is not None:
            load_weights(self.backbone, weights)
        if is_transformer(options.name):
            self.backbone = TransformerPyramid(self.backbone, options.pyramid)
            reductions = [*STRIDES]
            channels = [options.pyramid] * len(STRIDES)
        else:
            info = self.backbone.feature_info
            reductions = info.reduction()
            channels = info.channels()
        # Swin's maps, for example, are [b, h, w, c].
        self.channels_last = getattr(self.backbone, "output_fmt", "NCHW") == "NHWC"
        self.used = [i for i, reduction in enumerate(reductions) if reduction >= 4]
        if not self.used:
            raise ModelError(f"Backbone '{options.name}' has no scale of 1/4 or coarser.")
        self.fuse = fuse
        self.strides: tuple[int, ...] = tuple(reductions[i] for i in self.used)
        self.level_channels: tuple[int, ...] = tuple(channels[i] for i in self.used)
        self.reduction: int = max(reductions)
        total = sum(self.level_channels)
        self.channels = self.level_channels[-1]
        if fuse != "none":
            self.channels = options.fused or total
        mix = pointwise(total, self.channels)
        mixed = fuse == "mixed" or (fuse == "concatenated" and options.fused > 0)
        self.mix = mix if mixed else None

        self.rate = options.rate
        self.frozen = options.train == "frozen"
        self.source = _source(options, weights)
        self.shape = f"{options.name} {options.upsample} {options.output_stride}"
        self.kept: KeptMaps | None = None
        self.keeps_in_training = False
        self.remembered = RememberedMaps()
        self._digest = ""
        if self.frozen:
            self.given.requires_grad_(False).eval()
            self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    @property
    def pyramid(self) -> "TransformerPyramid | None":
        """The layers between a vision transformer and the scales; None for other backbones."""
        return self.backbone if isinstance(self.backbone, TransformerPyramid) else None

    @property
    def given(self) -> nn.Module:
        """The module of timm, for which there are weights; everything else starts at random."""
        return self.pyramid.transformer if self.pyramid else self.backbone

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation mode; a frozen module of timm stays in the latter."""
        super().train(mode)
        self.given.train(mode and not self.frozen)
        return self

    def forward(self, image: Tensor) -> Features:
        """Encode images [b, 3, h, w]: the fused map at the finest used scale, and all scales."""
        height, width = image.shape[-2:]
        return self.features_of(self.maps(image), height, width)

    def maps(self, image: Tensor) -> list[Tensor]:
        """The used maps of timm's module for padded images, before any other layer.

        A frozen module reads one image at a time, and so computes the same from any batch.
        """
        if not self.frozen:
            return self._given_maps(image)
        if torch.compiler.is_exporting():
            return [in_half(part).to(image.dtype) for part in self._given_maps(image)]
        of_images = [self._frozen_maps(one[None]) for one in image]
        return [torch.cat(parts) for parts in zip(*of_images, strict=True)]

    def _frozen_maps(self, image: Tensor) -> list[Tensor]:
        """The rounded maps of an image; a training remembers kept maps in memory."""
        kept = self.kept if self.keeps_in_training or not self.training else None
        identity = self._identity(image.device.type) if kept else ""
        remembered = self.remembered.recall(image, identity) if kept and self.training else None
        if remembered:
            return remembered
        key = key_of(image, identity) if kept else ""
        halves = kept.read(key) if kept else None
        if halves is None:
            # Files have no memory format, on which the order of later sums depends.
            halves = [in_half(part).contiguous() for part in self._given_maps(image)]
            if kept:
                kept.write(key, halves, often=self.training)
        maps = [part.to(image.device, image.dtype) for part in halves]
        if kept and self.training:
            self.remembered.remember(image, maps, identity)
        return maps

    def _identity(self, device: str) -> str:
        """What the maps of an image depend on: weights, libraries, device and precision."""
        if not self._digest:
            self._digest = weights_hash(self.given.state_dict())
        precision = "full"
        if torch.is_autocast_enabled(device):
            precision = str(torch.get_autocast_dtype(device))
        versions = f"torch {torch.__version__} timm {timm.__version__}"
        return f"{self._digest} {self.shape} {self.used} {versions} {place_of(device)} {precision}"

    def _given_maps(self, image: Tensor) -> list[Tensor]:
        read = self.pyramid.read if self.pyramid else self.backbone
        scales = read(pad_to_multiple(image, self.reduction))
        maps = [scales[i] for i in self.used]
        if self.channels_last:
            maps = [scale.movedim(-1, 1) for scale in maps]
        return maps

    def features_of(self, maps: list[Tensor], height: int, width: int) -> Features:
        """The features of images of a height and a width, from the result of `maps`."""
        if self.pyramid:
            maps = self.pyramid.raised(maps)
        levels = []
        for scale, stride in zip(maps, self.strides, strict=True):
            levels.append(crop_padding(scale, stride, height, width))
        if self.fuse == "none":
            return Features(levels[-1], tuple(levels))
        return Features(self._fused_map(maps, height, width), tuple(levels))

    def _fused_map(self, maps: list[Tensor], height: int, width: int) -> Tensor:
        """All scales, upsampled to the finest, concatenated, cropped to the image and mixed.

        A 1×1 convolution and upsampling are both linear, so each scale is convolved before it is
        upsampled.
        """
        size = maps[0].shape[-2:]
        stride = self.strides[0]
        if self.mix is None:
            upsampled = [maps[0], *(resize(scale, size) for scale in maps[1:])]
            return crop_padding(torch.cat(upsampled, 1), stride, height, width)
        weight = self.mix.get_parameter("0.weight")
        bias = self.mix.get_parameter("0.bias")
        parts = torch.split(weight, [scale.shape[1] for scale in maps], 1)
        total = functional.conv2d(maps[0], parts[0], bias)
        for scale, part in zip(maps[1:], parts[1:], strict=True):
            total += resize(functional.conv2d(scale, part), size)
        return self.mix[1:](crop_padding(total, stride, height, width))


def in_half(maps: Tensor) -> Tensor:
    """The nearest numbers of half precision; those beyond are its largest.

    Example:
        >>> in_half(torch.tensor([0.1, 1e6]))
        tensor([9.9976e-02, 6.5504e+04], dtype=torch.float16)
    """
    largest = torch.finfo(torch.float16).max
    return maps.half().clamp(-largest, largest)


def place_of(device: str) -> str:
    """What the rounding of maps depends on, besides libraries: the processor and its threads."""
    if device == "cuda":
        library = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        return f"{torch.cuda.get_device_name()} cuDNN {library}"
    return f"{device} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()} threads"


def _source(options: BackboneOptions, weights: Path | None) -> str:
    if weights is not None:
        return f"{options.name} with the weights of {weights}"
    return f"{options.name} with {'pretrained' if options.pretrained else 'random'} weights"


def _forget(encoder: nn.Module, _: object) -> None:
    """Note that the weights of an encoder changed."""
    encoder._digest = ""  # type: ignore[assignment]


def _create(options: BackboneOptions, load: bool) -> Any:
    arguments: Json = {"features_only": True}
    if is_transformer(options.name):
        arguments = {"num_classes": 0, "dynamic_img_size": True}
    else:
        arguments |= _ARGUMENTS.get(module_of(options.name), {})
    if options.output_stride:
        arguments["output_stride"] = options.output_stride
    try:
        return timm.create_model(options.name, pretrained=load, **arguments)
    except Exception as error:  # timm and its hub raise many types
        if not load or isinstance(error, TypeError | AssertionError):
            stride = ""
            next_step = "`timm.list_models()` lists the names."
            if options.output_stride:
                stride = f" and output_stride = {options.output_stride}"
                next_step += " Not all of them can be built with an output_stride."
            raise ModelError(
                f"timm cannot build the backbone '{options.name}' with feature maps{stride}: "
                f"{str(error) or type(error).__name__}.",
                next_step=next_step,
            ) from error
        raise UnfetchedWeightsError(
            f"The ImageNet weights of '{options.name}' could not be fetched "
            f"({type(error).__name__}).",
            next_step="Give a local file with --weights FILE, or set `pretrained = false` in "
            "[backbone] to start from random weights (which need many more labels).",
            unchanged="Nothing was trained.",
        ) from error


def _upsample_bilinearly(backbone: nn.Module, name: str) -> None:
    """Make HRNet's layers that raise scales bilinear; timm's take the nearest neighbour."""
    layers = [module for module in backbone.modules() if isinstance(module, nn.Upsample)]
    if not layers:
        raise ModelError(
            f"The backbone '{name}' has no upsampling layers to make bilinear.",
            next_step='Remove `upsample = "bilinear"` from [backbone]; it is for HRNets.',
            unchanged="Nothing was trained.",
        )
    for layer in layers:
        layer.mode = "bilinear"
        layer.align_corners = False


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Load a backbone's weights from a .safetensors or PyTorch file.

    Layers in the file that the backbone leaves out, such as a classifier, are ignored.

    Raises:
        ModelError: the file is missing, cannot be read, or does not fit the backbone.
    """
    expected = backbone.state_dict()
    state = read_state(path)
    first = next(iter(expected))
    ends = (first, first.replace("_", ".", 1))
    # All may have a prefix: the shortest that the name of the backbone's first tensor has.
    prefixes = [name.removesuffix(end) for end in ends for name in state if name.endswith(end)]
    prefix = min(prefixes, key=len, default="")
    matching = {}
    misshapen = []
    unknown = []
    for name, value in state.items():
        if not name.startswith(prefix):
            continue
        key = _place_in(expected, name.removeprefix(prefix))
        if key in expected:
            matching[key] = value
            if _is_odd(value) or value.shape != expected[key].shape:
                misshapen.append(key)
        elif key:
            unknown.append(key)
    unread = [key for key in expected if key not in matching]
    missing = [key for key in unread if not key.endswith("num_batches_tracked")]
    if missing or misshapen or unknown:
        raise ModelError(
            f"The weights do not fit the backbone: {len(missing)} of {len(expected)} tensors are "
            f"missing, {len(misshapen)} have another shape or type, {len(unknown)} are unknown "
            f"(first: {(missing + misshapen + unknown)[0]}).",
            where=path,
            next_step="Name the backbone that these weights were trained for.",
        )
    backbone.load_state_dict(matching, strict=False)


def _place_in(expected: Tensors, name: str) -> str:
    """Find a tensor's name in a backbone; "" for a layer that the backbone leaves out.

    A learnt tensor of another layer keeps its name even if the backbone has no such tensor.
    """
    if name in expected:
        return name
    other = name.replace(".", "_", 1)  # timm's models for maps have `stages_0` for `stages.0`
    if other in expected:
        return other
    layers = {key.partition(".")[0] for key in expected}
    has_layer = not layers.isdisjoint({name.partition(".")[0], other.partition(".")[0]})
    return name if has_layer and name.endswith(LEARNT) else ""


def _is_odd(value: Tensor) -> bool:
    """Whether a tensor cannot be converted, as half precision and integers can."""
    return value.layout != torch.strided or value.is_quantized or value.is_complex()


def read_state(path: Path) -> Tensors:
    """Read the tensors of a weights file, without unpickling objects.

    Raises:
        ModelError: the file is missing, or holds anything else than tensors.
    """
    if not path.is_file():
        raise ModelError("There is no such weights file.", where=path, next_step="Check the path.")
    try:
        if path.suffix == ".safetensors":
            return load(read_bytes(path))
        with open_regular(path) as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        for key, value in state.items():
            if not isinstance(key, str) or not isinstance(value, Tensor):
                raise TypeError("it does not hold named tensors")
        return state
    except UnpicklingError as error:
        raise ModelError(
            "The file contains objects other than tensors, and was not opened.",
            where=path,
            next_step="Save the plain state_dict, preferably as .safetensors.",
        ) from error
    except Exception as error:  # torch raises many types for files of another format
        raise ModelError(
            f"This is not a weights file ({type(error).__name__}).",
            where=path,
            next_step="Give a .safetensors file or a PyTorch state_dict.",
        ) from error


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
    """The module of timm that defines a model; "" for a name unknown to timm.

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
        return self.raised(self.read(image))

    def read(self, image: Tensor) -> list[Tensor]:
        """The maps of the four blocks, at the patches' resolution."""
        if self.patch != PATCH:
            height, width = image.shape[-2:]
            size = (height * self.patch // PATCH, width * self.patch // PATCH)
            image = functional.interpolate(
                image, size=size, mode="bilinear", align_corners=False, antialias=True
            )
        maps: list[Tensor] = self.transformer.forward_intermediates(
            image, indices=self.blocks, norm=True, intermediates_only=True
        )
        return maps

    def raised(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps of the four scales, from those of the four blocks."""
        return [layer(x) for layer, x in zip(self.layers, maps, strict=True)]


def _upsampling(inputs: int, width: int) -> tuple[nn.Module, ...]:
    """Layers that double the resolution."""
    return nn.ConvTranspose2d(inputs, width, 2, 2, bias=False), nn.BatchNorm2d(width), nn.GELU()


def _pointwise(inputs: int, width: int) -> tuple[nn.Module, ...]:
    """Layers that change the number of channels alone."""
    return nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()
