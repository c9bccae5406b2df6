import math

import pytest
import torch
from torch import Tensor

from labelgrid.pixel.disagreement import (
    LEAST,
    absolute_difference,
    binary_divergence,
    binary_js,
    class_divergence,
    class_js,
    cosine_distance,
)


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels, dtype=torch.float32).view(1, -1, 1, 1)


def test_the_divergence_is_what_the_refined_prediction_adds() -> None:
    gained = class_divergence(initial=pixel(0.5, 0.5), refined=pixel(1, 0)).item()
    assert gained == pytest.approx(math.log(2))
    assert class_divergence(
        initial=pixel(0.9, 0.1), refined=pixel(0.5, 0.5)
    ).item() == pytest.approx(0.510826, abs=1e-5)


def test_certain_predictions_that_contradict_are_far_apart_but_finite() -> None:
    assert class_divergence(pixel(0, 1), pixel(1, 0)).item() == pytest.approx(
        -math.log(LEAST), rel=1e-5
    )
    assert binary_divergence(pixel(0), pixel(1)).item() == pytest.approx(-math.log(LEAST), rel=1e-5)


def test_equal_predictions_agree_down_to_the_least_probability() -> None:
    assert class_divergence(pixel(1, 1e-9), pixel(1, 1e-9)).item() == 0


def test_certain_predictions_have_finite_gradients() -> None:
    for probability in (0.0, 1.0):
        initial, refined = (pixel(probability).requires_grad_() for _ in range(2))
        binary_divergence(initial, refined).sum().backward()
        assert all(
            x.grad is not None and bool(torch.isfinite(x.grad).all()) for x in (initial, refined)
        )


def test_yes_or_no_is_a_task_of_two_classes() -> None:
    assert (
        binary_divergence(pixel(0.2), pixel(0.7)).item()
        == class_divergence(pixel(0.2, 0.8), pixel(0.7, 0.3)).item()
    )


def test_jensen_shannon_is_the_same_either_way_and_at_most_log_two() -> None:
    one, other = pixel(0.9, 0.1), pixel(0.2, 0.8)
    assert class_js(one, other).item() == class_js(other, one).item()
    assert (
        class_js(pixel(0, 1), pixel(1, 0)).item()
        == binary_js(pixel(0), pixel(1)).item()
        == pytest.approx(math.log(2))
    )
    assert (
        binary_js(pixel(0.2), pixel(0.7)).item()
        == class_js(pixel(0.2, 0.8), pixel(0.7, 0.3)).item()
    )


def test_depths_differ_by_metres_either_way() -> None:
    assert (
        absolute_difference(pixel(1), pixel(3.5)).item()
        == absolute_difference(pixel(3.5), pixel(1)).item()
        == 2.5
    )


def test_vectors_differ_by_their_angle_from_none_to_opposite() -> None:
    up, right, down = pixel(0, 1, 0), pixel(1, 0, 0), pixel(0, -1, 0)
    assert [cosine_distance(up, other).item() for other in (up, right, down)] == [0, 1, 2]
