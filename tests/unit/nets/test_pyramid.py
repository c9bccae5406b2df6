import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from labelgrid.basics import plugins
from labelgrid.basics.errors import ModelError
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.options import BackboneOptions
from labelgrid.nets.pyramid import TransformerPyramid, is_transformer
from tests.network_laws import TASKS

NAME = "test_vit"  # timm's smallest: 6 blocks, patches of 16


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
