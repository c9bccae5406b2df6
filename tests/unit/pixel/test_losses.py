import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from labelgrid.pixel.losses import (
    absolute_error,
    area_balanced_bce,
    balanced_bce,
    cross_entropy,
    unit_vector_cosine,
    unit_vector_l1,
)
from labelgrid.pixel.target import Target, mean_per_image


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


def labelled(value: Tensor) -> Target:
    return Target(value, torch.ones(len(value), 1, *value.shape[2:], dtype=torch.bool))


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss = cross_entropy(torch.zeros(1, 40, 2, 2), labelled(torch.full((1, 1, 2, 2), 39)))
    torch.testing.assert_close(loss, torch.full((1, 1, 2, 2), math.log(40)))


def test_a_missed_edge_costs_19_times_a_false_one() -> None:
    missed, false = balanced_bce(row(-2, 2), labelled(row(1, 0))).flatten()
    assert missed.item() == pytest.approx(19 * false.item())


def test_half_and_more_is_positive() -> None:
    exact = balanced_bce(row(1, 1), labelled(row(0, 1)))
    assert torch.equal(balanced_bce(row(1, 1), labelled(row(0.49, 0.5))), exact)


def test_saliency_weighs_both_sides_equally_in_sum() -> None:
    loss = area_balanced_bce(row(0, 0, 0, 0), labelled(row(1, 0, 0, 0))).flatten()
    assert loss[0].item() == pytest.approx(loss[1:].sum().item())
    assert loss[0].item() == pytest.approx(0.75 * math.log(2))


def test_half_and_more_counts_as_salient() -> None:
    exact = area_balanced_bce(row(1, 2, 3), labelled(row(0, 0, 1)))
    assert torch.equal(area_balanced_bce(row(1, 2, 3), labelled(row(0, 0.49, 0.5))), exact)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_binary_losses_have_the_precision_of_the_outputs(dtype: torch.dtype) -> None:
    for loss in (balanced_bce, area_balanced_bce):
        assert loss(row(1, 2, 3).to(dtype), labelled(row(0, 0, 1))).dtype == dtype


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_an_image_with_nothing_salient_or_nothing_else_still_teaches(truth: float) -> None:
    loss = area_balanced_bce(row(0, 0), labelled(row(truth, truth)))
    torch.testing.assert_close(loss, torch.full_like(loss, math.log(2) / 2))


def test_the_share_of_salient_pixels_is_that_of_the_valid_ones() -> None:
    part = Target(row(1, 0, 1, 1), torch.tensor([[[[True, True, False, False]]]]))
    loss = area_balanced_bce(row(0, 0, 0, 0), part).flatten()
    torch.testing.assert_close(loss, torch.tensor([math.log(2) / 2, math.log(2) / 2, 0, 0]))


def test_depth_costs_its_absolute_error_in_metres() -> None:
    assert absolute_error(row(1, 5), labelled(row(3, 4.5))).flatten().tolist() == [2, 0.5]


@pytest.mark.parametrize("loss", [unit_vector_l1, unit_vector_cosine])
def test_a_normals_length_costs_nothing_and_its_sign_does(
    loss: Callable[[Tensor, Target], Tensor],
) -> None:
    truth = labelled(vector(0, 0, 1))
    assert loss(vector(0, 0, 0.1), truth).item() == 0
    aside, opposite = loss(vector(1, 0, 0), truth).item(), loss(vector(0, 0, -1), truth).item()
    assert aside > 0
    assert opposite >= aside
    assert unit_vector_cosine(vector(0, 0, -1), truth).item() == 2
    assert unit_vector_l1(vector(0, 0, -1), truth).item() == pytest.approx(2 / 3)


def test_a_zero_normal_has_a_finite_gradient() -> None:
    for loss in (unit_vector_l1, unit_vector_cosine):
        raw = torch.zeros(1, 3, 1, 1, requires_grad=True)
        loss(raw, labelled(vector(0, 0, 1))).sum().backward()
        assert raw.grad is not None
        assert raw.grad.isfinite().all()


def test_the_mean_over_an_images_valid_pixels_is_its_loss() -> None:
    half = Target(row(3, float("nan")), torch.tensor([[[[True, False]]]]))
    assert mean_per_image(absolute_error(row(1, 1), half), half.valid).tolist() == [2]


def test_a_class_that_was_not_annotated_gets_no_gradient_and_takes_none() -> None:
    raw = torch.randn(2, 3, 1, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    valid = torch.ones(2, 1, 1, 4, dtype=torch.bool)
    value = torch.tensor([0, 2, 0, 2]).expand(2, 1, 1, 4)
    some = Target(value, valid, torch.tensor([[True, False, True], [False, False, False]]))
    loss = cross_entropy(raw, some)
    loss.sum().backward()
    assert raw.grad is not None and not raw.grad[:, 1].any() and not raw.grad[1].any()
    assert not loss[1].any()
    two = cross_entropy(raw.detach()[:, [0, 2]], Target(value // 2, valid))
    torch.testing.assert_close(loss.detach()[0], two[0])
