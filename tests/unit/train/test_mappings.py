"""Mappings: their sizes, that a condition changes the map, and that maps do not change each other."""

import itertools

import pytest
import torch
from torch.nn import functional

from labelgrid.train.mappings import MAPPINGS, ConditionalBlock, Norm

CHANNELS = {"a": 3, "b": 1}


def codes(mapping, maps, *conditions):
    return mapping(mapping.shared("b", maps), torch.tensor(conditions))


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("size", [(32, 64), (47, 33), (64, 96)])
def test_it_maps_any_size_to_the_width_of_the_features(name, size):
    found = codes(MAPPINGS[name](CHANNELS, 24, 4, Norm()), torch.rand(2, 1, *size), 1, 3)
    assert found.shape == (2, 24, -(-size[0] // 32), -(-size[1] // 32))


@pytest.mark.parametrize("name", MAPPINGS)
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_a_finer_space_has_as_many_layers_and_more_places(name, stride):
    finer, usual = (MAPPINGS[name](CHANNELS, 24, 4, Norm(), n) for n in (stride, 32))
    assert codes(finer, torch.rand(2, 1, 64, 96), 1, 3).shape == (2, 24, 64 // stride, 96 // stride)
    assert [p.shape for p in finer.conditional()] == [p.shape for p in usual.conditional()]


@pytest.mark.parametrize("name", MAPPINGS)
def test_only_without_the_last_relu_have_joint_maps_negative_values(name):
    for stride in (8, 32):
        found = {}
        for rectify in (True, False):
            torch.manual_seed(0)
            mapping = MAPPINGS[name](CHANNELS, 24, 4, Norm(), stride, rectify=rectify)
            torch.manual_seed(1)
            found[rectify] = codes(mapping, torch.rand(2, 1, 64, 96), 1, 3)
        assert found[True].min() >= 0 > found[False].min()
        torch.testing.assert_close(found[True], found[False].relu())


@pytest.mark.parametrize("name", MAPPINGS)
def test_conditions_differ_once_they_are_trained_and_maps_stay_apart(name):
    torch.manual_seed(0)
    mapping, maps = (
        MAPPINGS[name](CHANNELS, 24, 2, Norm()).double(),
        torch.rand(3, 1, 32, 64).double(),
    )
    same = codes(mapping, maps[[0, 0]], 0, 1)
    torch.testing.assert_close(same[0], same[1])  # 1 and 0 at the start
    with torch.no_grad():
        for parameter in mapping.conditional():
            parameter.add_(torch.rand_like(parameter))
    different = codes(mapping, maps[[0, 0]], 0, 1)
    assert not torch.allclose(different[0], different[1])
    torch.testing.assert_close(codes(mapping, maps, 0, 1, 0)[:1], codes(mapping, maps[:1], 0))
    together = MAPPINGS[name](CHANNELS, 24, 2, Norm(by_map=False)).double()
    assert not torch.allclose(codes(together, maps, 0, 1, 0)[:1], codes(together, maps[:1], 0))


def test_without_conditions_there_are_no_parameters_of_them():
    mapping = MAPPINGS["light"](CHANNELS, 24, 0, Norm())
    assert mapping.conditional() == []
    torch.testing.assert_close(
        *codes(mapping, torch.rand(1, 1, 32, 32).expand(2, -1, -1, -1), 0, 5)
    )


def test_norms_are_batch_norms_of_one_map_or_of_all():
    x, weight, bias = (
        torch.rand(4, 3, 5, 6).double(),
        torch.rand(3).double(),
        torch.rand(3).double(),
    )
    one = [
        torch.nn.functional.batch_norm(part[None], None, None, weight, bias, training=True)
        for part in x
    ]
    torch.testing.assert_close(Norm()(x, weight, bias), torch.cat(one))
    wanted = torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True)
    torch.testing.assert_close(Norm(by_map=False)(x, weight, bias), wanted)


def test_segnet_has_the_parameters_of_its_layers():
    mapping = MAPPINGS["segnet"]({"semseg": 13, "depth": 1, "normals": 3}, 512, 0, Norm())
    widths = [64, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    body = sum(a * b * 9 + 2 * b for a, b in itertools.pairwise(widths))
    assert sum(p.numel() for p in mapping.parameters()) == body + (13 + 1 + 3) * 64 * 9 + 3 * 2 * 64


def test_resnet18_has_the_parameters_of_its_blocks():
    mapping = MAPPINGS["resnet18"](CHANNELS, 512, 6, Norm())
    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    blocks = sum(
        9 * b * (a + b) + 2 * 2 * b + (a * b + 2 * b if a != b else 0)
        for a, b in itertools.pairwise(widths)
    )
    inputs = sum(CHANNELS.values()) * 64 * 49 + 2 * 2 * 64
    conditional = 2 * 2 * 6 * sum(widths[1:])
    assert sum(p.numel() for p in mapping.conditional()) == conditional
    assert sum(p.numel() for p in mapping.parameters()) == blocks + inputs + conditional


@pytest.mark.parametrize(("inputs", "stride"), [(4, 1), (3, 2)])
def test_a_residual_block_is_that_of_resnet_with_both_layers_conditioned(inputs, stride):
    torch.manual_seed(0)
    block = ConditionalBlock(
        inputs, 4, conditions=2, norm=Norm(by_map=False), stride=stride
    ).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(torch.rand_like(parameter))
    x, condition = torch.randn(3, inputs, 8, 6).double(), torch.tensor([1, 0, 1])

    def normed(layer, x, stride=1, padding=1):
        x = functional.conv2d(x, layer.convolution.weight, stride=stride, padding=padding)
        return functional.batch_norm(x, None, None, layer.weight, layer.bias, training=True)

    def changed(layer, x):
        scales, shifts = (
            [one[c][:, None, None] for c in condition] for one in (layer.scale, layer.shift)
        )
        return torch.stack(
            [scale * one + shift for scale, one, shift in zip(scales, x, shifts, strict=True)]
        )

    passed = x if inputs == 4 and stride == 1 else normed(block.shortcut, x, stride, 0)
    inner = changed(block.first, normed(block.first, x, stride)).relu()
    wanted = (changed(block.second, normed(block.second, inner)) + passed).relu()
    torch.testing.assert_close(block(x, condition), wanted)
