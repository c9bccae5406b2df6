"""Backbones: fused scales, local weights, and clear words where there are none."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from labelgrid.basics import plugins
from labelgrid.basics.errors import ModelError
from labelgrid.nets import backbones
from labelgrid.nets.backbones import (
    Encoder,
    TransformerPyramid,
    in_half,
    is_transformer,
    load_weights,
)
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.kept_maps import KeptMaps
from labelgrid.testing.networks import TASKS

COVERS = ["labelgrid.nets.encoder_options", "labelgrid.nets.padding"]
TINY = BackboneOptions(name="mobilenetv2_035", pretrained=True, fused=16)


NAME = "test_vit"  # timm's smallest: 6 blocks, patches of 16


def cut(padded: torch.Tensor, stride: int, size: tuple[int, int]) -> torch.Tensor:
    """The map over the image alone: ceil(side / stride) cells that span it, read off the padded map in between."""
    for axis, side in ((-2, size[0]), (-1, size[1])):
        count = -(-side // stride)
        at = np.clip(
            (np.arange(count) + 0.5) * side / count / stride - 0.5, 0, padded.shape[axis] - 1
        )
        low = torch.from_numpy(np.floor(at)).long()
        share = torch.from_numpy(at - np.floor(at)).float().view(-1, *[1] * (-1 - axis))
        high = (low + 1).clamp(max=padded.shape[axis] - 1)
        padded = (
            padded.index_select(axis, low) * (1 - share) + padded.index_select(axis, high) * share
        )
    return padded


def raised(encoder: Encoder, padded: torch.Tensor) -> list[torch.Tensor]:
    """The used scales of a padded image at the size of the finest."""
    maps = [scale for i, scale in enumerate(encoder.backbone(padded)) if i in encoder.used]
    size = maps[0].shape[-2:]
    return [
        functional.interpolate(scale, size=size, mode="bilinear", align_corners=False)
        for scale in maps
    ]


class Means(nn.Module):
    """A backbone whose scales are the mean colours of each cell."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [functional.avg_pool2d(image, stride) for stride in (2, 4, 8, 16, 32)]


@pytest.fixture(scope="module")
def state():
    return timm.create_model("mobilenetv2_035", pretrained=False, features_only=True).state_dict()


def test_the_papers_hrnet_gives_its_raw_branches_summed_to_270_channels():
    encoder = Encoder(BackboneOptions(name="hrnet_w18_small_v2", pretrained=False))
    features = encoder(torch.zeros(1, 3, 64, 64))
    assert encoder.channels == 270 and features.shared.shape == (1, 270, 16, 16)
    assert features.deepest.shape == (1, 144, 2, 2)


@pytest.mark.parametrize(
    "name, stride", [("resnet18", 4), ("convnext_atto", 4), ("mobilenetv2_035", 4)]
)
def test_any_timm_backbone_is_fused_at_its_finest_scale_from_a_quarter_on(name, stride):
    encoder = Encoder(BackboneOptions(name=name, pretrained=False, fused=8))
    assert encoder(torch.zeros(1, 3, 64, 96)).shared.shape == (1, 8, 64 // stride, 96 // stride)


@pytest.mark.parametrize(
    "name", ["mambaout_femto", "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"]
)
def test_backbones_whose_maps_have_channels_last_give_channels_first_for_images_of_any_size(name):
    encoder = Encoder(BackboneOptions(name=name, pretrained=False, fused=8)).eval()
    features = encoder(torch.zeros(1, 3, 50, 70))
    assert features.shared.shape == (1, 8, 13, 18)
    sizes = [(-(-50 // stride), -(-70 // stride)) for stride in (4, 8, 16, 32)]
    assert [(level.shape[1], *level.shape[2:]) for level in features.levels] == [
        (width, *size) for width, size in zip(encoder.level_channels, sizes, strict=True)
    ]


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_scales_are_mixed_as_if_they_were_raised_and_concatenated_first(size):
    encoder = Encoder(BackboneOptions(name="mobilenetv2_035", pretrained=False, fused=8)).train()
    image = torch.rand(2, 3, *size)
    padded = functional.pad(image, (0, -size[1] % 32, 0, -size[0] % 32))
    wanted = encoder.mix(cut(torch.cat(raised(encoder, padded), 1), 4, size))
    torch.testing.assert_close(encoder(image).shared, wanted, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoder(image).shared.dtype == torch.bfloat16


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_the_levels_are_the_backbones_own_scales_cut_to_the_image(size):
    encoder = Encoder(BackboneOptions(name="mobilenetv2_035", pretrained=False, fused=8)).eval()
    image = torch.rand(2, 3, *size)
    levels = encoder(image).levels
    sizes = [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]
    assert [(level.shape[1], tuple(level.shape[-2:])) for level in levels] == list(
        zip(encoder.level_channels, sizes, strict=True)
    )
    assert encoder.strides == (4, 8, 16, 32)
    padded = functional.pad(image, (0, -size[1] % 32, 0, -size[0] % 32))
    own = [scale for i, scale in enumerate(encoder.backbone(padded)) if i in encoder.used]
    for level, scale, stride in zip(levels, own, encoder.strides, strict=True):
        torch.testing.assert_close(level, cut(scale, stride, size), rtol=1e-4, atol=1e-5)
        if size == (64, 96):
            assert torch.equal(level, scale)


@pytest.mark.parametrize("name", ["hrnet_w18_small_v2", "mobilenetv2_035"])
@pytest.mark.parametrize("size", [(50, 70), (33, 32), (7, 5)])
def test_images_of_any_size_are_taken_as_if_padded_to_the_coarsest_scale(name, size):
    encoder = Encoder(BackboneOptions(name=name, pretrained=False, fused=4)).eval()
    height, width = size
    image = torch.rand(1, 3, height, width)
    assert encoder(image).shared.shape == (1, 4, -(-height // 4), -(-width // 4))
    whole = torch.zeros(1, 3, -(-height // 32) * 32, -(-width // 32) * 32)
    whole[..., :height, :width] = image
    mixed = encoder.mix[0](torch.cat(raised(encoder, whole), 1))
    torch.testing.assert_close(
        encoder(image).shared, encoder.mix[1:](cut(mixed, 4, size)), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("size", [(61, 97), (64, 98), (63, 99), (64, 100), (96, 128)])
def test_a_map_shows_a_place_where_the_image_has_it(size):
    encoder = Encoder(
        BackboneOptions(name="mobilenetv2_035", pretrained=False), fuse="concatenated"
    ).eval()
    encoder.backbone = Means()
    down, right = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
    features = encoder(torch.stack([down, right, down])[None])
    inside = (
        slice(12, size[0] - 40),
        slice(12, size[1] - 40),
    )  # no cell there reaches the image's or the padding's edge
    for level, stride in zip(features.levels[:2], (4, 8), strict=False):
        assert level.shape[-2:] == tuple(-(-side // stride) for side in size)
        shown = functional.interpolate(level, size=size, mode="bilinear", align_corners=False)[0]
        assert (shown[0] - down)[inside].abs().max() < 0.01
        assert (shown[1] - right)[inside].abs().max() < 0.01
    shown = functional.interpolate(
        features.shared[:, :2], size=size, mode="bilinear", align_corners=False
    )[0]
    assert (shown[1] - right)[inside].abs().max() < 0.01


def test_the_scales_are_concatenated_where_no_mix_is_asked_for():
    encoder = Encoder(
        BackboneOptions(name="mobilenetv2_035", pretrained=False), fuse="concatenated"
    ).eval()
    image = torch.rand(1, 3, 50, 70)
    padded = functional.pad(image, (0, 26, 0, 14))
    assert encoder.channels == sum(encoder.level_channels)
    torch.testing.assert_close(
        encoder(image).shared, cut(torch.cat(raised(encoder, padded), 1), 4, (50, 70))
    )
    fused = Encoder(
        BackboneOptions(name="mobilenetv2_035", pretrained=False, fused=8), fuse="concatenated"
    )
    assert fused(torch.rand(2, 3, 32, 32)).shared.shape[1] == 8


def test_without_fusion_the_coarsest_scale_is_shared_and_no_layer_is_added():
    encoder = Encoder(
        BackboneOptions(name="mobilenetv2_035", pretrained=False, fused=8), fuse="none"
    ).eval()
    features = encoder(torch.rand(1, 3, 50, 70))
    assert features.shared is features.deepest and encoder.channels == encoder.level_channels[-1]
    assert {name.split(".")[0] for name, _ in encoder.named_parameters()} == {"backbone"}


@pytest.mark.parametrize(("stride", "strides"), [(8, (4, 8, 8, 8)), (16, (4, 8, 16, 16))])
def test_an_output_stride_keeps_coarse_scales_fine_with_the_same_weights(stride, strides):
    dilated = Encoder(
        BackboneOptions(name="resnet18", pretrained=False, output_stride=stride), fuse="none"
    ).eval()
    levels = dilated(torch.rand(1, 3, 64, 96)).levels
    assert dilated.strides == strides
    assert [tuple(level.shape[-2:]) for level in levels] == [(64 // s, 96 // s) for s in strides]
    plain = Encoder(BackboneOptions(name="resnet18", pretrained=False), fuse="none")
    assert dilated.state_dict().keys() == plain.state_dict().keys()
    dilations = {module.dilation for module in dilated.modules() if isinstance(module, nn.Conv2d)}
    assert dilations == {(1, 1), (2, 2), (4, 4)} if stride == 8 else {(1, 1), (2, 2)}
    assert dilated(torch.rand(1, 3, 33, 50)).shared.shape[-2:] == (
        -(-33 // stride),
        -(-50 // stride),
    )


def test_a_backbone_without_dilation_is_refused_with_its_output_stride():
    for pretrained in (False, True):
        with pytest.raises(
            ModelError, match=r"and output_stride = 8: \w+[^:]*\.\n?.*Not all of them"
        ):
            Encoder(
                BackboneOptions(name="hrnet_w18_small_v2", pretrained=pretrained, output_stride=8)
            )


class Bilinear(nn.Module):
    """Raises a map, by the formula of `align_corners = False`."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis in (-2, -1):
            length = x.shape[axis]
            at = (
                (torch.arange(length * self.scale, dtype=x.dtype) + 0.5) / self.scale - 0.5
            ).clamp(0, length - 1)
            low, share = at.long(), (at - at.long()).view(-1, *[1] * (-1 - axis))
            high = (low + 1).clamp(max=length - 1)
            x = x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share
        return x


def test_hrnet_adds_its_scales_raised_by_nearest_neighbour_or_bilinearly():
    torch.manual_seed(0)
    plain = Encoder(BackboneOptions(name="hrnet_w18_small_v2", pretrained=False)).eval().double()
    papers = (
        Encoder(BackboneOptions(name="hrnet_w18_small_v2", pretrained=False, upsample="bilinear"))
        .eval()
        .double()
    )
    papers.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        nearest, bilinear = plain(image), papers(image)
        layers = [name for name, module in plain.named_modules() if isinstance(module, nn.Upsample)]
        assert len(layers) == 22
        for name in layers:
            parent, _, last = name.rpartition(".")
            plain.get_submodule(parent)[int(last)] = Bilinear(
                int(plain.get_submodule(name).scale_factor)
            )
        for found, wanted in zip(bilinear.levels, plain(image).levels, strict=True):
            torch.testing.assert_close(found, wanted)
    first = nearest.levels[0], bilinear.levels[0]
    assert (first[0] - first[1]).norm() > 0.05 * first[0].norm()


def test_bilinear_upsampling_of_a_backbone_without_upsampling_is_refused():
    with pytest.raises(
        ModelError, match=r"'mobilenetv2_035' has no upsampling layers(.|\n)*Remove `upsample"
    ):
        Encoder(BackboneOptions(name="mobilenetv2_035", pretrained=False, upsample="bilinear"))


@pytest.mark.parametrize(
    "form", ["safetensors", "pth", "prefixed", "with classifier", "in state_dict"]
)
def test_local_weights_are_loaded_whatever_their_prefix(tmp_path, state, form):
    wanted = {k: torch.full_like(v, 0.5) if v.is_floating_point() else v for k, v in state.items()}
    path = tmp_path / ("w.safetensors" if form != "pth" else "w.pth")
    given = (
        {f"module.backbone.{k}": v for k, v in wanted.items()}
        if form == "prefixed"
        else dict(wanted)
    )
    if form == "with classifier":
        given["classifier.weight"] = torch.zeros(3, 3)
    if form in ("pth", "in state_dict"):
        path = path.with_suffix(".pth")
        torch.save({"state_dict": given} if form == "in state_dict" else given, path)
    else:
        save_file({k: v.clone() for k, v in given.items()}, path)
    encoder = Encoder(TINY, path)
    assert all(torch.equal(v, wanted[k]) for k, v in encoder.backbone.state_dict().items())


@pytest.mark.parametrize("name", ["test_convnext", "efficientformerv2_s0"])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_weights_of_a_model_whose_module_for_maps_has_other_names_are_loaded(
    tmp_path, name, prefix
):
    whole = timm.create_model(name).state_dict()
    save_file({f"{prefix}{key}": value for key, value in whole.items()}, tmp_path / "w.safetensors")
    encoder = Encoder(BackboneOptions(name=name), tmp_path / "w.safetensors")
    renamed = 0
    for key, value in encoder.backbone.state_dict().items():
        renamed += key not in whole
        assert torch.equal(value, whole[key if key in whole else key.replace("_", ".", 1)])
    assert renamed


def test_weights_of_another_backbone_are_refused(tmp_path, state):
    save_file({"other.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="The weights do not fit the backbone"):
        load_weights(
            Encoder(BackboneOptions(name="mobilenetv2_035", pretrained=False)).backbone,
            tmp_path / "w.safetensors",
        )
    wrong = {k: v[:1].clone() if v.ndim > 1 else v for k, v in state.items()}
    save_file(wrong, tmp_path / "v.safetensors")
    with pytest.raises(ModelError, match="have another shape"):
        load_weights(
            Encoder(BackboneOptions(name="mobilenetv2_035", pretrained=False)).backbone,
            tmp_path / "v.safetensors",
        )


def test_weights_with_more_than_the_backbone_s_layers_hold_are_another_model_s(tmp_path):
    whole = timm.create_model("test_vit").state_dict()
    path = tmp_path / "w.safetensors"
    save_file({f"model.{key}": value for key, value in whole.items()}, path)
    Encoder(BackboneOptions(name="test_vit"), path)
    for name in ("blocks.0.attn.q_bias", "blocks.99.norm1.weight"):
        save_file({**whole, name: torch.zeros(1)}, path)
        with pytest.raises(ModelError, match=f"1 are unknown .first: {name}"):
            Encoder(BackboneOptions(name="test_vit"), path)


def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no")
    (tmp_path / "w.pth").write_bytes(b"no")
    for path in (tmp_path / "w.safetensors", tmp_path / "w.pth"):
        with pytest.raises(ModelError, match=r"not a weights file|objects other than tensors"):
            backbones.read_state(path)
    with pytest.raises(ModelError, match="There is no such weights file"):
        backbones.read_state(tmp_path / "absent.pth")


def test_a_download_that_cannot_be_says_what_to_do_instead(monkeypatch):
    real = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to host")
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        ModelError, match=r"could not be fetched \(ConnectionError\)(.|\n)*--weights FILE"
    ):
        Encoder(TINY)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ModelError, match="timm cannot build the backbone 'mobilenet_v99'"):
        Encoder(BackboneOptions(name="mobilenet_v99", pretrained=False))


class Transformer(nn.Module):
    """Its blocks return the image's patches times the number of the block.

    Patches have 14 pixels.
    """

    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [None] * 8
        self.patch_embed = nn.Module()
        self.patch_embed.patch_size = (14, 14)  # type: ignore[assignment]

    def forward_intermediates(
        self, image: torch.Tensor, indices: list[int], norm: bool, intermediates_only: bool
    ) -> list[torch.Tensor]:
        assert norm and intermediates_only
        assert not any(side % 14 for side in image.shape[-2:])
        patches = nn.functional.avg_pool2d(image, 14)
        return [patches * index for index in indices]


def encoder(name: str = NAME, **options: object) -> Encoder:
    return Encoder(BackboneOptions(name=name, pretrained=False, pyramid=12, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [NAME, "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_a_transformer_gives_maps_at_every_scale_of_images_of_any_size(
    name: str, size: tuple[int, int]
) -> None:
    features = encoder(name)(torch.rand(2, 3, *size))
    assert [tuple(level.shape) for level in features.levels] == [
        (2, 12, -(-size[0] // stride), -(-size[1] // stride)) for stride in (4, 8, 16, 32)
    ]
    assert features.shared.shape == (2, 48, -(-size[0] // 4), -(-size[1] // 4))


def test_each_map_is_of_its_own_block_at_its_own_place() -> None:
    pyramid = TransformerPyramid(Transformer(), 3).eval()
    assert pyramid.blocks == [1, 3, 5, 7]
    for layer in pyramid.layers:
        for part in layer.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.data = torch.eye(3)[:, :, None, None]
            elif isinstance(part, nn.ConvTranspose2d):
                part.weight.data = torch.eye(3)[:, :, None, None].expand(3, 3, 2, 2).clone()
    right = ((torch.arange(96) + 0.5) / 96).expand(1, 3, 64, 96) + 5
    maps = pyramid(right)
    for found, block, stride in zip(maps, (1, 3, 5, 7), (4, 8, 16, 32), strict=True):
        assert found.shape == (1, 3, 64 // stride, 96 // stride)
        wanted = nn.functional.avg_pool2d(right, stride) * block
        assert (
            (found - wanted) / block
        ).abs().max() < 0.1  # a cell is at most 16 pixels, a sixth, from its place
        rising = found[0, 0, 0]
        assert (rising.diff() >= -1e-4).all() and rising[-1] > rising[0]


def test_a_backbone_for_one_size_that_has_several_scales_is_taken_as_it_is() -> None:
    made = Encoder(BackboneOptions(name="resnet50_clip", pretrained=False, fused=4))
    assert made.strides == (4, 8, 16, 32)
    assert made(torch.rand(2, 3, 64, 96)).shared.shape == (2, 4, 16, 24)


def test_every_weight_learns() -> None:
    made = encoder().train()
    features = made(torch.rand(2, 3, 64, 64))
    (features.shared * torch.rand_like(features.shared)).sum().backward()
    assert [name for name, value in made.named_parameters() if value.grad is None] == []


def test_a_file_of_the_plain_transformers_weights_fits(tmp_path) -> None:  # type: ignore[no-untyped-def]
    plain = timm.create_model(NAME, pretrained=False)
    save_file(plain.state_dict(), tmp_path / "vit.safetensors")
    made = Encoder(BackboneOptions(name=NAME, fused=8), tmp_path / "vit.safetensors")
    assert torch.equal(made.backbone.transformer.pos_embed, plain.pos_embed)


def test_names_tell_transformers_and_an_output_stride_is_refused_for_them() -> None:
    names = (NAME, "vit_small_patch16_dinov3", "hf-hub:timm/vit_small_patch14_dinov2.lvd142m")
    assert all(map(is_transformer, names))
    others = (
        "resnet18",
        "mvitv2_tiny",
        "swin_tiny_patch4_window7_224",
        "vit_tiny_r_s16_p8_224",
        "none_such",
    )
    assert not any(map(is_transformer, others))
    with pytest.raises(ModelError, match="output_stride = 8"):
        encoder(output_stride=8)


@pytest.mark.parametrize("name", ["pad_net", "mti_net", "shared_heads", "aspp_heads"])
def test_every_network_with_a_backbone_takes_a_transformer(name: str) -> None:
    kind = plugins.module("networks", name).Options
    width = {"width": 16} if "width" in kind.__dataclass_fields__ else {}

    def make(**how: str) -> Encoder:
        return Encoder(BackboneOptions(name=NAME, pretrained=False, fused=16, pyramid=12), **how)  # type: ignore[arg-type]

    network = plugins.resolve("networks", name)(TASKS, make, kind(**width))
    output = network(torch.rand(2, 3, 45, 71))
    assert all(raw.isfinite().all() for raw in output.final.values())
    stride = 32 if name == "aspp_heads" else 4
    assert {tuple(raw.shape[-2:]) for raw in output.final.values()} == {
        (-(-45 // stride), -(-71 // stride))
    }


FROZEN = (
    "mobilenetv2_035",
    "hrnet_w18_small_v2",
    "test_convnext",
    "test_vit",
    "vit_small_patch16_dinov3",
)


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_module_learns_nothing_and_keeps_its_statistics(name: str) -> None:
    torch.manual_seed(0)
    made = Encoder(
        BackboneOptions(name=name, pretrained=False, pyramid=12, fused=8, train="frozen")
    )
    before = {key: value.clone() for key, value in made.state_dict().items()}
    made.train()
    optimiser = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        made(torch.rand(2, 3, 64, 64)).shared.square().sum().backward()
        optimiser.step()
    given = {id(value) for value in (*made.given.parameters(), *made.given.buffers())}
    changed = set()
    for key, value in made.state_dict(keep_vars=True).items():
        if torch.equal(value, before[key]):
            continue
        assert id(value) not in given, key
        changed.add(key)
    # All that is beside it learns, and counts its statistics.
    assert changed == {
        key for key, value in made.state_dict(keep_vars=True).items() if id(value) not in given
    }


def test_a_frozen_modules_maps_are_rounded_to_half_precision_and_full_ones_are_not() -> None:
    image = torch.rand(1, 3, 64, 96)
    for name in ("mobilenetv2_035", NAME):
        torch.manual_seed(0)
        full = encoder(name).eval()
        frozen = encoder(name, train="frozen").eval()
        frozen.load_state_dict(full.state_dict())
        for exact, coarse in zip(full.maps(image), frozen.maps(image), strict=True):
            assert torch.equal(coarse, exact.half().float()) and not torch.equal(coarse, exact)
        assert torch.equal(
            frozen(image).shared, frozen.features_of(frozen.maps(image), 64, 96).shared
        )


def test_kept_maps_are_bitwise_the_computed_ones_of_any_batch(tmp_path) -> None:  # type: ignore[no-untyped-def]
    images = torch.rand(3, 3, 64, 96)
    for name in ("mobilenetv2_035", "test_convnext", NAME):
        torch.manual_seed(0)
        plain = encoder(name, train="frozen").to(memory_format=torch.channels_last)
        keeping = encoder(name, train="frozen").to(memory_format=torch.channels_last)
        assert not keeping.given.training
        plain.eval()
        keeping.eval()
        keeping.load_state_dict(plain.state_dict())
        keeping.kept = KeptMaps(tmp_path / name, 2**30)
        expected = plain(images).shared
        assert torch.equal(keeping(images).shared, expected)  # computed
        keeping.given.register_forward_pre_hook(refuse)
        if name == NAME:
            keeping.given.forward_intermediates = refuse
        assert torch.equal(keeping(images).shared, expected)  # read
        assert torch.equal(keeping(images).pooled(), plain(images).pooled())
        assert torch.equal(keeping(images[[2, 0]]).shared, plain(images[[2, 0]]).shared)
        with pytest.raises(AssertionError):
            keeping(images.flip(-1))
        changed = {key: value + 1 for key, value in plain.state_dict().items()}
        keeping.load_state_dict(changed)
        with pytest.raises(AssertionError):
            keeping(images)


def test_a_training_reads_the_kept_maps_of_an_image_once(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    images = torch.rand(3, 3, 64, 96)
    made = encoder("mobilenetv2_035", train="frozen").train()
    plain = made.maps(images)
    made.kept = KeptMaps(tmp_path, 2**30)
    made.keeps_in_training = True
    read = []
    kept_read = KeptMaps.read
    monkeypatch.setattr(
        KeptMaps, "read", lambda kept, key: read.append(key) or kept_read(kept, key)
    )
    for _ in range(2):
        for part, expected in zip(made.maps(images), plain, strict=True):
            assert torch.equal(part, expected)
    assert len(read) == 3
    made.load_state_dict({key: value * 2 for key, value in made.state_dict().items()})
    for part, expected in zip(made.maps(images), plain, strict=True):
        assert not torch.equal(part, expected)
    made.eval().maps(images)
    assert len(read) == 9


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the module is run")


def test_numbers_beyond_half_precision_are_its_largest_in_any_precision() -> None:
    for kind in (torch.float32, torch.bfloat16):
        assert in_half(torch.tensor([1e6, -1e30], dtype=kind)).tolist() == [65504, -65504]


def test_the_identity_of_kept_maps_names_the_threads() -> None:
    made = encoder(train="frozen")
    threads = torch.get_num_threads()
    first = made._identity("cpu")
    try:
        torch.set_num_threads(threads + 1)
        assert made._identity("cpu") != first
    finally:
        torch.set_num_threads(threads)
