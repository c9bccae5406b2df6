"""MTAN: what its masks do, which parameters all tasks share, images of any size."""

import pytest
import torch
from torch import nn

from labelgrid.nets.network import Features
from labelgrid.nets.networks import mtan, segnet
from labelgrid.nets.networks.mtan import Mtan, Options
from labelgrid.testing.networks import TASKS, images, made


def small(dropout: float = 0.2) -> Mtan:
    network = made(mtan.build, Options(width=4, dropout=dropout))
    assert isinstance(network, Mtan)
    return network


def set_last_masks(network: Mtan, value: float) -> None:
    """Make the last masks sigmoid(value) everywhere."""
    for masks in network.attention.values():
        norm = masks.up[0][4]  # type: ignore[index, union-attr]
        nn.init.zeros_(norm.weight)  # type: ignore[arg-type]
        nn.init.constant_(norm.bias, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(50, 70), (33, 31), (1, 1)])
def test_an_image_of_any_size_has_outputs_of_its_size(size: tuple[int, int]) -> None:
    output = small()(torch.rand(2, 3, *size))
    assert all(raw.shape == (2, TASKS[n].channels, *size) for n, raw in output.final.items())


def test_with_open_masks_it_is_segnet() -> None:
    network, plain = small(), segnet.build(TASKS, None, segnet.Options(width=4)).eval()
    loaded = plain.load_state_dict(network.state_dict(), strict=False)
    assert not loaded.missing_keys
    set_last_masks(network, 40.0)
    wanted, found = plain(images()).final, network(images()).final
    for name in TASKS:
        torch.testing.assert_close(found[name], wanted[name])


def test_with_closed_masks_every_pixel_has_the_heads_bias() -> None:
    network = small()
    set_last_masks(network, -200.0)
    for name, features in network(images()).task_features.items():
        wanted = network.bodies[name].bias.view(1, -1, 1, 1).expand_as(features)  # type: ignore[union-attr, operator]
        torch.testing.assert_close(features, wanted)


def test_a_tasks_masks_change_its_own_output_alone() -> None:
    network = small(dropout=0.0).train()
    before = network(images()).final
    with torch.no_grad():
        network.attention["depth"].down[0][0].weight.mul_(-1)  # type: ignore[index, union-attr, operator]
    after = network(images()).final
    assert {name for name in TASKS if not torch.equal(before[name], after[name])} == {"depth"}


def test_every_task_depends_on_all_shared_parameters_and_only_the_other_ones_are_its_own() -> None:
    network = small().train()
    shared, reached = network.shared_parameters(), {}
    for name, raw in network(images()).final.items():
        found = torch.autograd.grad(
            raw.square().sum(), list(network.parameters()), retain_graph=True, allow_unused=True
        )
        pairs = zip(network.parameters(), found, strict=True)
        reached[name] = {id(value) for value, gradient in pairs if gradient is not None}
    assert set.intersection(*reached.values()) == {id(value) for value in shared}
    network.encoder.requires_grad_(False)
    network.between[0].requires_grad_(False)
    assert network.shared_parameters() and all(
        value.requires_grad for value in network.shared_parameters()
    )


def test_features_without_the_maps_of_all_stages_are_refused() -> None:
    network = small()
    found = network.encode(images())
    with pytest.raises(TypeError, match="pass what `encode` returned"):
        network.decode(Features(found.shared, found.levels))


@pytest.mark.parametrize("width", [0, 4096])
def test_a_width_that_makes_no_network_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"width must be from 1 to 2048; it is {width}"):
        Options(width=width)
