"""Channel dropout: in training as torch's, when scoring with masks keyed by image."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from labelgrid.nets.blocks import Predict
from labelgrid.nets.keyed_dropout import ChannelDropout, keyed_dropout, masks, sites


def net():
    return nn.Sequential(
        ChannelDropout(0.5, 4, "initial"),
        ChannelDropout(0.2, 4, "final"),
        ChannelDropout(0, 4, "encoder"),
    )


def test_masks_keep_their_share_and_the_mean():
    drawn = masks("site", 64, rate=0.3, keys=np.arange(500, dtype=np.uint64), seed=0, index=1)
    assert drawn.shape == (500, 64, 1, 1) and float((drawn == 0).float().mean()) == pytest.approx(
        0.3, abs=0.01
    )
    assert float(drawn.mean()) == pytest.approx(1.0, abs=0.02)
    rows = drawn[:, :, 0, 0]
    assert len(torch.unique(rows, dim=0)) == 500 and len(torch.unique(rows.T, dim=0)) == 64


def test_masks_depend_on_key_site_seed_and_pass_alone():
    keys = np.array([3, 8, 11], np.uint64)
    drawn = masks("a", 32, rate=0.5, keys=keys, seed=0, index=1)
    assert torch.equal(drawn[[2, 0]], masks("a", 32, rate=0.5, keys=keys[[2, 0]], seed=0, index=1))
    for other in (
        masks("b", 32, rate=0.5, keys=keys, seed=0, index=1),
        masks("a", 32, rate=0.5, keys=keys, seed=1, index=1),
        masks("a", 32, rate=0.5, keys=keys, seed=0, index=2),
    ):
        assert not torch.equal(drawn, other)


def test_sites_are_those_of_the_stages_asked_for_with_a_rate():
    assert list(sites(net(), "final")) == ["1"]
    assert list(sites(net(), "heads")) == ["0", "1"]
    assert list(sites(net(), "all")) == ["0", "1"]
    assert {name: rate for name, (_, rate) in sites(net(), "all", 0.4).items()} == {
        "0": 0.4,
        "1": 0.4,
        "2": 0.4,
    }


def test_no_mask_is_left_behind_even_after_an_error():
    network = net().eval()
    with (
        pytest.raises(ZeroDivisionError),
        keyed_dropout(network, "heads", np.array([1], np.uint64), 0) as use,
    ):
        use(0)
        assert not torch.equal(network(torch.ones(1, 4, 2, 2)), torch.ones(1, 4, 2, 2))
        raise ZeroDivisionError
    assert torch.equal(network(torch.ones(1, 4, 2, 2)), torch.ones(1, 4, 2, 2))


def test_masks_laid_on_the_weights_are_masks_laid_on_the_features():
    predict = Predict(6, 5, 0.5, "final").double()
    features = torch.randn(3, 6, 4, 7, dtype=torch.float64)
    predict.dropout.mask = masks(
        "site", 6, rate=0.5, keys=np.arange(3, dtype=np.uint64), seed=0, index=0
    ).double()
    assert 0 < (predict.dropout.mask == 0).sum() < 18
    for training in (True, False):
        torch.testing.assert_close(
            predict.train(training)(features),
            predict.convolution(features * predict.dropout.mask),
        )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_head_in_training_draws_and_learns_as_dropout_before_its_convolution(layout):
    predict = Predict(6, 5, 0.5, "final").double()
    features = torch.randn(3, 6, 4, 7, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(3, 5, 4, 7, dtype=torch.float64)
    found = []
    for run in (predict, lambda x: predict.convolution(functional.dropout2d(x, 0.5))):
        predict.zero_grad()
        given = features.clone().requires_grad_()
        torch.manual_seed(1)
        output = run(given)
        output.backward(gradient)
        weights = [parameter.grad for parameter in predict.parameters()]
        found.append([output.detach(), given.grad, *weights])
        assert given.grad.is_contiguous(memory_format=layout)
    torch.testing.assert_close(*found)
    assert (found[0][1] == 0).all((2, 3)).any()


def test_several_passes_at_a_time_are_the_same_to_the_last_bit_of_any_batch():
    network = torch.nn.Sequential(Predict(16, 3, 0.5, "final")).eval()
    features = torch.randn(4, 16, 6, 8)
    keys = np.arange(4, dtype=np.uint64)
    with torch.no_grad(), keyed_dropout(network, "final", keys, 0) as use:
        use(*range(5))
        together = network(features)
        for index in range(5):
            use(index)
            torch.testing.assert_close(together[index::5], network(features))
    with torch.no_grad(), keyed_dropout(network, "final", keys[2:3], 0) as use:
        use(*range(5))
        assert torch.equal(network(features[2:3]), together[10:15])
