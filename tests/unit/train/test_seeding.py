"""Keyed construction: a stream of its own for each module, and the caller's left alone."""

import torch
from torch import nn

from labelgrid.train.seeding import seed_torch


def built(*names):
    with seed_torch(3, *names):
        return nn.Linear(4, 4).weight


def test_one_stream_gives_one_module_whatever_was_drawn_before():
    first = built("init", "term", "crop")
    torch.rand(7)
    assert torch.equal(first, built("init", "term", "crop"))
    assert not torch.equal(first, built("init", "term", "other"))


def test_the_callers_stream_is_not_moved_even_when_building_fails():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    try:
        with seed_torch(0, "init"):
            torch.rand(5)
            raise ValueError
    except ValueError:
        pass
    assert torch.equal(torch.rand(2), expected)
