"""Normals of predicted depth: gradients, and depths that no label has."""

import pytest
import torch

from labelgrid.pixel.plane_normals import NEAREST, plane_normals

CAMERA = torch.tensor([[9.0, 8.0, 3.2, 2.9], [7.0, 7.0, 4.0, 3.0]], dtype=torch.float64)


def normals(depth):
    return plane_normals(depth, CAMERA, radius=1, least=0.3)


def rough(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return 2 + torch.rand(2, 1, 6, 7, generator=generator, dtype=torch.float64).to(dtype)


def test_the_gradient_is_that_of_finite_differences():
    depth = rough()
    depth[0, 0, 2, 3] = -1.0
    depth.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: normals(x).value, depth)
    assert normals(depth).valid.float().mean() > 0.7


@pytest.mark.parametrize("wrong", [0.0, -3.0, NEAREST / 2, float("nan"), float("inf"), 1e-38])
def test_a_depth_that_is_none_is_not_valid_and_spoils_no_gradient(wrong):
    depth = rough(torch.float32)
    depth[0] = wrong
    depth[1, 0, 3, 3] = wrong
    depth.requires_grad_()
    found = normals(depth)
    assert not found.valid[0].any() and not found.valid[1, 0, 3, 3]
    assert found.valid[1].float().mean() > 0.7
    found.value.sum().backward()
    assert depth.grad is not None and depth.grad.isfinite().all()
    assert not depth.grad[0].any() and depth.grad[1].any()


def test_another_image_of_the_batch_changes_nothing():
    depth = rough()
    other = depth.clone()
    other[0] = 5.0
    first = normals(depth)
    second = normals(other)
    assert torch.equal(first.value[1], second.value[1])
    assert not torch.equal(first.value[0], second.value[0])


def test_autocast_changes_nothing():
    depth = rough(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = normals(depth)
    assert torch.equal(found.value, normals(depth).value)
