"""Bottleneck heads: their shortcuts."""

import torch

from labelgrid.nets.blocks import bottlenecks


def test_a_shortcut_stands_where_channels_change_and_nowhere_else() -> None:
    assert bottlenecks(24, 16)[0].downsample is not None
    assert bottlenecks(16, 16)[0].downsample is None
    x = torch.rand(2, 16, 5, 5)
    blocks = bottlenecks(16, 16)
    blocks[0].bn3.weight.data.zero_()
    blocks[1].bn3.weight.data.zero_()
    torch.testing.assert_close(blocks(x), x)  # the input is added as it is
