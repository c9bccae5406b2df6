"""Bottleneck heads: their shortcuts, and the states of earlier versions."""

import torch
from torch import nn

from labelgrid.nets.blocks import bottlenecks


def always_short(width: int) -> nn.Sequential:
    """Heads as earlier versions made them: a 1×1 shortcut although the channels stay."""
    blocks = bottlenecks(width, width)
    blocks[0].downsample = nn.Sequential(
        nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
    )
    return blocks.eval()


def test_a_shortcut_stands_where_channels_change_and_nowhere_else() -> None:
    assert bottlenecks(24, 16)[0].downsample is not None
    assert bottlenecks(16, 16)[0].downsample is None
    x = torch.rand(2, 16, 5, 5)
    blocks = bottlenecks(16, 16)
    blocks[0].bn3.weight.data.zero_()
    blocks[1].bn3.weight.data.zero_()
    torch.testing.assert_close(blocks(x), x)  # the input is added as it is


def test_a_state_with_the_shortcut_of_earlier_versions_gives_what_it_gave() -> None:
    old, x = nn.Sequential(always_short(16)), torch.rand(2, 16, 5, 5)
    drawn = torch.random.get_rng_state()
    new = nn.Sequential(bottlenecks(16, 16))
    torch.random.set_rng_state(drawn)
    new.load_state_dict(old.state_dict())
    assert torch.equal(torch.random.get_rng_state(), drawn)  # nothing else draws other numbers
    assert torch.equal(new.eval()(x), old(x))
    again = nn.Sequential(bottlenecks(16, 16))
    again.load_state_dict(new.state_dict())
    assert torch.equal(again.eval()(x), old(x))


def test_a_state_without_the_shortcut_adds_none() -> None:
    blocks, other = bottlenecks(16, 16), bottlenecks(16, 16)
    other.load_state_dict(blocks.state_dict())
    assert other[0].downsample is None
