"""SegNet: images of any size, its maps, its initial weights, and no use of a backbone."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from labelgrid.nets.networks import segnet
from labelgrid.nets.networks.segnet import Options, SegNet
from labelgrid.testing.networks import TASKS, made

COVERS = ["labelgrid.nets.unpooling"]


def small(width: int = 4, **options: float) -> SegNet:
    network = made(segnet.build, Options(width=width, **options))  # type: ignore[arg-type]
    assert isinstance(network, SegNet)
    return network


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (33, 31), (1, 1)])
def test_maps_of_an_image_of_any_size_span_exactly_the_image(size: tuple[int, int]) -> None:
    network, image = small(), torch.rand(2, 3, *size)
    output = network(image)
    assert all(raw.shape == (2, TASKS[n].channels, *size) for n, raw in output.final.items())
    assert output.features.shared.shape == (2, 4, *size)
    sides = [tuple(-(-side // stride) for side in size) for stride in (2, 4, 8, 16, 32)]
    assert [tuple(level.shape[2:]) for level in output.features.levels] == sides
    assert [level.shape[1] for level in output.features.levels] == [4, 8, 16, 32, 32]


def test_the_last_map_of_an_image_is_cut_from_that_of_the_padded_image() -> None:
    network, image = small(), torch.rand(1, 3, 50, 70)
    whole = network.encode(functional.pad(image, (0, 26, 0, 14)))
    features = network.encode(image)
    assert torch.equal(features.shared, whole.shared[..., :50, :70])
    assert torch.equal(features.levels[0], whole.levels[0][..., :25, :35])


def test_convolutions_start_xavier_normal_without_bias() -> None:
    network = segnet.build(TASKS, None, Options(width=32))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fans = (module.in_channels + module.out_channels) * module.kernel_size[0] ** 2
            spread, count = module.weight.detach().std().item(), module.weight.numel()
            assert spread * (fans / 2) ** 0.5 == pytest.approx(1, abs=4 / count**0.5)
            assert module.bias is not None and not module.bias.any()


def test_the_encoder_holds_the_decoder_and_no_backbone_is_built() -> None:
    def encoder() -> None:
        raise AssertionError("a backbone was built")

    network = segnet.build(TASKS, encoder, Options(width=4))
    parts = {name for name, _ in network.named_parameters() if not name.startswith("encoder.")}
    assert {name.split(".")[0] for name in parts} == {"bodies", "last"}
    assert Options.own_encoder and "own_encoder" not in {
        field.name for field in dataclasses.fields(Options)
    }


def test_dropout_acts_on_the_heads_and_on_the_shared_map() -> None:
    image = torch.rand(1, 3, 32, 32)
    for rates, changes in (
        ({"dropout": 0.0}, False),
        ({"dropout": 0.5}, True),
        ({"dropout": 0.0, "encoder_dropout": 0.5}, True),
    ):
        network = small(16, **rates)
        features = network.encode(image)
        plain = network.decode(features).final["depth"]
        network.train()  # batch norm is in the encoder alone
        assert torch.equal(plain, network.decode(features).final["depth"]) is not changes


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_lower_precision_and_channels_last_give_nearly_the_same(precision: torch.dtype) -> None:
    network, image = small(), torch.rand(2, 3, 32, 64)
    plain = network(image).final["depth"]
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        other = network(image.contiguous(memory_format=torch.channels_last)).final["depth"]
    loose = precision == torch.bfloat16
    torch.testing.assert_close(
        other.float(), plain, rtol=0.1 if loose else 1e-4, atol=0.1 if loose else 1e-5
    )


@pytest.mark.parametrize("width", [0, -1, 4096])
def test_a_width_that_makes_no_network_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"width must be from 1 to 2048; it is {width}"):
        Options(width=width)
