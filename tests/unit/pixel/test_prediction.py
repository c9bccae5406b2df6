from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from labelgrid.pixel.prediction import (
    binary_target,
    class_probabilities,
    class_target,
    contenders,
    first_argmax,
    one_hot,
    pass_through,
    positive_target,
    unit_mean,
    unit_vectors,
    value_target,
    vector_target,
)
from labelgrid.pixel.target import Target


def test_class_probabilities_sum_to_one_over_the_channels() -> None:
    total = class_probabilities(torch.randn(2, 5, 3, 4)).sum(1)
    torch.testing.assert_close(total, torch.ones(2, 3, 4))


def test_unit_vectors_keep_the_direction_and_have_length_one() -> None:
    raw = torch.randn(2, 3, 4, 5)
    unit = unit_vectors(raw)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(2, 4, 5))
    torch.testing.assert_close(unit * raw.norm(dim=1, keepdim=True), raw)


def test_a_zero_vector_stays_zero_and_has_a_finite_gradient() -> None:
    raw = torch.zeros(1, 3, 1, 1, requires_grad=True)
    unit = unit_vectors(raw)
    unit.sum().backward()
    assert raw.grad is not None
    assert not unit.any()
    assert raw.grad.isfinite().all()


def test_the_direction_of_a_mean_has_length_one_and_that_of_zero_stays_zero() -> None:
    mean = 0.1 * torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(2))
    mean[0, :, 0, 0] = 0
    length = mean.double().square().sum(1, keepdim=True).sqrt()
    expected = torch.where(length > 0, mean / length.clamp(min=1e-12), 0).float()
    torch.testing.assert_close(unit_mean(mean), expected)


def test_vectors_shorter_than_the_least_length_are_divided_by_it() -> None:
    raw = torch.tensor([1e-7, 1e-5]).view(1, 1, 1, 2)
    torch.testing.assert_close(unit_vectors(raw).flatten(), torch.tensor([0.1, 1.0]))
    torch.testing.assert_close(unit_vectors(raw, eps=1e-4).flatten(), torch.tensor([1e-3, 0.1]))


def test_vectors_whose_squares_exceed_half_precision_keep_their_direction_and_precision() -> None:
    unit = unit_vectors(torch.tensor([3000.0, 0.0, 4000.0]).half().view(1, 3, 1, 1))
    assert unit.dtype == torch.float16
    torch.testing.assert_close(unit.flatten(), torch.tensor([0.6, 0, 0.8]).half())


def test_one_hot_stays_on_its_device() -> None:
    assert (
        one_hot(torch.zeros(1, 1, 2, 2, dtype=torch.int64, device="meta"), 3).device.type == "meta"
    )


def test_one_hot_is_certain_of_each_pixels_class() -> None:
    classes = torch.tensor([[[[0, 2], [1, 2]]]])
    target = one_hot(classes, 4)
    assert target.dtype == torch.float32
    assert torch.equal(target.argmax(1, keepdim=True), classes)
    assert target.sum().item() == 4


def test_unchanged_values_are_the_values() -> None:
    values = torch.randn(2, 1, 3, 3)
    assert pass_through(values) is values


def test_the_likeliest_class_is_the_label() -> None:
    target = class_target(torch.tensor([0.2, 0.4, 0.4]).view(1, 3, 1, 1))
    assert target.value.tolist() == [[[[1]]]]
    assert target.value.dtype == torch.int64


@pytest.mark.parametrize("classes", [2, 59, 255, 256, 300])
def test_the_first_of_equally_likely_classes_is_the_label(classes: int) -> None:
    levels = torch.randint(
        0, 9, (2, classes, 5, 7), generator=torch.Generator().manual_seed(0)
    ).float()
    assert torch.equal(class_target(levels).value, levels.argmax(1, keepdim=True))
    assert class_target(levels.flip(1).sort(1).values).value.max() < classes


def test_more_than_the_threshold_is_yes() -> None:
    shares = torch.tensor([0.5, 0.51]).view(1, 1, 1, 2)
    assert binary_target(shares).value.flatten().tolist() == [0, 1]
    assert binary_target(shares, 0.4).value.flatten().tolist() == [1, 1]


def test_a_distance_not_above_zero_is_no_label() -> None:
    assert positive_target(
        torch.tensor([-1, 0, 2.0]).view(1, 1, 1, 3)
    ).valid.flatten().tolist() == [False, False, True]


@pytest.mark.parametrize("length", [0.2, 1.0, 7.0])
def test_a_vector_label_has_length_one_and_a_zero_vector_is_none(length: float) -> None:
    target = vector_target(length * torch.tensor([[[[0.6, 0]], [[0, 0]], [[-0.8, 0]]]]))
    assert target.valid.flatten().tolist() == [True, False]
    torch.testing.assert_close(target.value[0, :, 0, 0], torch.tensor([0.6, 0, -0.8]))


@pytest.mark.parametrize(
    "made", [class_target, binary_target, positive_target, vector_target, value_target]
)
def test_what_is_not_finite_is_no_label_and_labels_carry_no_gradient(
    made: Callable[[Tensor], Target],
) -> None:
    raw = torch.tensor([torch.nan, torch.inf, 0.7], requires_grad=True)
    target = made(raw.view(1, 1, 1, 3).expand(1, 3, 1, 3).half())
    assert target.valid.flatten().tolist() == [False, False, True]
    assert target.value.isfinite().all() and not target.value.requires_grad
    assert target.value.dtype in (torch.int64, torch.float32)


def contending(values: Tensor) -> list[int]:
    """The channels of [c, ...] that can be the largest at a mean of the points."""
    return contenders(values.flatten(1).T[..., None])[:, 0].nonzero().flatten().tolist()


def test_each_place_keeps_its_own_contenders_and_a_margin_of_the_largest_value() -> None:
    points = torch.tensor(
        [[[5.0, 0.0], [1.0, 2.0]], [[4.0, 1.0], [3.0, 4.0]]]
    )  # two points, channels and places
    assert contenders(points).tolist() == [[True, False], [False, True]]
    assert contenders(points, largest=2e5).tolist() == [[True, True], [True, True]]


def test_the_first_of_equal_channels_is_the_largest() -> None:
    values = torch.randint(0, 4, (2, 300, 5, 7), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(first_argmax(values)[:, 0], torch.from_numpy(values.numpy().argmax(1)))


def test_a_vector_label_has_the_length_of_all_its_components() -> None:
    raw = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    expected = raw.double() / raw.double().square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(vector_target(raw).value.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("made", [class_target, vector_target, value_target])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_one_channel_that_is_not_finite_leaves_its_pixel_out_with_the_value_zero(
    made: Callable[[Tensor], Target], wrong: float
) -> None:
    raw = torch.rand(2, 3, 2, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    broken = raw.clone()
    broken[1, 2, 0, 1] = wrong
    target, sound = made(broken), made(raw)
    valid = torch.ones(2, 1, 2, 3, dtype=torch.bool)
    valid[1, 0, 0, 1] = False
    assert torch.equal(target.valid, valid) and sound.valid.all()
    assert torch.equal(target.value, sound.value * valid)


@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_only_channels_that_are_never_the_largest_are_left_out(spread: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        values = spread * torch.randn(30, 1, 1, generator=generator) + torch.randn(
            30, 3, 2, generator=generator
        )
        weights = torch.rand(2000, 6, generator=generator) ** 4
        largest = (values.flatten(1) @ (weights / weights.sum(1, keepdim=True)).T).argmax(0)
        assert set(largest.tolist()) <= set(contending(values))
    assert spread < 3 or len(contending(values)) < 30


def test_nearly_equal_channels_and_values_that_are_not_finite_leave_none_out() -> None:
    assert contending(torch.tensor([[1000.0], [999.995], [999.0]])) == [0, 1]
    assert contending(torch.tensor([[5.0, 5.0], [torch.nan, 1.0]])) == [0, 1]
    assert contending(torch.tensor([[torch.inf, 5.0], [1.0, 1.0]])) == [0, 1]
    assert contending(torch.tensor([[9.0], [1.0]]).bfloat16()) == [0]
    assert contending(torch.zeros(3, 2)) == [0, 1, 2]
