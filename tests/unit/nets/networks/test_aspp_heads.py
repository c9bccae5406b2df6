import pytest
import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.nets.networks import aspp_heads
from labelgrid.nets.networks.aspp_heads import NormOfMeans, Options
from labelgrid.testing.networks import images, made


def test_one_image_can_be_trained_on_and_outputs_have_the_coarsest_resolution() -> None:
    network = made(aspp_heads.build, Options(width=8)).train()
    output = network(images(1))
    assert {tuple(raw.shape[-2:]) for raw in output.final.values()} == {(1, 2)}
    torch.stack([raw.square().sum() for raw in output.final.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_means_of_one_image_are_normalised_by_running_statistics_those_of_more_by_their_own() -> (
    None
):
    norm = NormOfMeans(2)
    norm.running_mean, norm.running_var = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 9.0])
    one = norm(torch.tensor([3.0, 8.0]).view(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(one, torch.tensor([1.0, 2.0]), rtol=1e-4, atol=1e-4)
    assert norm.running_mean.tolist() == [1, 2]
    two = norm(torch.tensor([[3.0, 8.0], [5.0, 8.0]]).view(2, 2, 1, 1))
    torch.testing.assert_close(two.mean((0, 2, 3)), torch.zeros(2))
    assert norm.running_mean.tolist() != [1, 2]


def test_a_head_is_the_dilated_convolutions_and_the_mean_side_by_side() -> None:
    network = made(aspp_heads.build, Options(width=4, rates=(1, 2))).double()
    features = network.encode(images().double())
    found = network.decode(features)
    state = network.state_dict()

    def layer(x: Tensor, convolution: str, norm: str, dilation: int = 1) -> Tensor:
        weight = state[f"{convolution}.weight"]
        x = functional.conv2d(
            x, weight, padding=dilation * (weight.shape[-1] // 2), dilation=dilation
        )
        gain, bias, mean, variance = (
            state[f"{norm}.{part}"].view(1, -1, 1, 1)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return ((x - mean) / (variance + 1e-5).sqrt() * gain + bias).clamp(min=0)

    for name in found.final:
        here, shared = f"bodies.{name}.0", features.shared
        parts = [
            layer(shared, f"{here}.convs.{i}.0", f"{here}.convs.{i}.1", dilation)
            for i, dilation in enumerate((1, 1, 2))
        ]
        mean = layer(
            shared.mean((2, 3), keepdim=True), f"{here}.convs.3.1", f"{here}.convs.3.2"
        ).expand_as(parts[0])
        joined = layer(torch.cat([*parts, mean], 1), f"{here}.project.0", f"{here}.project.1")
        torch.testing.assert_close(
            found.task_features[name],
            layer(joined, f"bodies.{name}.1", f"bodies.{name}.2"),
            rtol=1e-9,
            atol=1e-9,
        )


def test_dilations_out_of_range_are_refused() -> None:
    for rates in ((), (0,), (2000,)):
        with pytest.raises(ValueError, match="rates must be dilations"):
            Options(rates=rates)
