import math

import pytest
import torch
from torch import Tensor

from labelgrid.pixel.prediction import two_classes
from labelgrid.pixel.uncertainty import (
    BinaryMoments,
    ClassMoments,
    GaussianMoments,
    Information,
    Moments,
    Spread,
    VectorMoments,
)

UNIT_GAUSSIAN = 0.5 * math.log(2 * math.pi * math.e)


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels, dtype=torch.float32).view(1, -1, 1, 1)


def after(moments: Moments, *predictions: Tensor) -> float:
    for prediction in predictions:
        moments.update(prediction)
    return float(moments.uncertainty().item())


def test_a_uniform_prediction_has_the_logarithm_of_the_number_of_classes() -> None:
    assert after(ClassMoments(), pixel(*[0.1] * 10)) == pytest.approx(math.log(10))


def test_a_saturated_softmax_is_certain_and_a_number() -> None:
    assert after(ClassMoments(), torch.softmax(pixel(1e4, 0, -1e4), 1)) == 0
    assert after(BinaryMoments(), torch.sigmoid(pixel(1e4)), torch.sigmoid(pixel(1e4))) == 0
    assert after(BinaryMoments(), torch.sigmoid(pixel(-1e4))) == 0


def test_the_entropy_is_of_the_mean_and_not_the_mean_of_entropies() -> None:
    assert after(ClassMoments(), pixel(1, 0), pixel(0, 1)) == pytest.approx(math.log(2))
    assert after(BinaryMoments(), pixel(1), pixel(0)) == pytest.approx(math.log(2))


def test_yes_or_no_is_a_task_of_two_classes() -> None:
    one = after(BinaryMoments(), pixel(0.2), pixel(0.7))
    assert one == pytest.approx(after(ClassMoments(), pixel(0.2, 0.8), pixel(0.7, 0.3)))


def test_a_variance_of_one_has_the_unit_gaussians_entropy() -> None:
    assert after(GaussianMoments(), pixel(2), pixel(4)) == pytest.approx(UNIT_GAUSSIAN)


def test_one_prediction_has_the_least_entropy() -> None:
    least = UNIT_GAUSSIAN + math.log(1e-6) / 2
    assert after(GaussianMoments(), pixel(3)) == pytest.approx(least)
    assert after(VectorMoments(), pixel(0, 0, 1)) == pytest.approx(3 * least, rel=1e-5)


def test_a_far_mean_costs_no_precision() -> None:
    far = after(GaussianMoments(), *(pixel(8192 + step / 64) for step in range(10)))
    near = after(GaussianMoments(), *(pixel(step / 64) for step in range(10)))
    assert far == pytest.approx(near, abs=1e-4)


def test_vectors_that_vary_together_are_surer_than_those_that_vary_freely() -> None:
    free = after(
        VectorMoments(), *(pixel(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1))
    )
    bound = after(
        VectorMoments(), *(pixel(x, y, x * 0.99 + y * 0.1) for x in (-1, 1) for y in (-1, 1))
    )
    assert free == pytest.approx(3 * UNIT_GAUSSIAN, abs=1e-5)
    assert bound < free - 2


def test_turning_all_vectors_changes_no_uncertainty() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(
        torch.randn(9, 3, generator=generator, dtype=torch.float64)
    )
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    straight = after(VectorMoments(), *(v.view(1, 3, 1, 1) for v in vectors))
    turned = after(VectorMoments(), *(v.view(1, 3, 1, 1) for v in vectors @ turn))
    assert turned == pytest.approx(straight, abs=1e-9)


def test_vectors_along_one_line_have_a_finite_entropy_however_long_they_are() -> None:
    for length in (1e-3, 1.0, 1e3):
        entropy = after(
            VectorMoments(), *(length * sign * pixel(0.6, -0.64, 0.48) for sign in (1, -1, 1))
        )
        assert math.isfinite(entropy)


def test_half_precision_predictions_are_summed_in_single() -> None:
    many = [pixel(0.3, 0.7).bfloat16()] * 600
    assert after(ClassMoments(), *many) == pytest.approx(after(ClassMoments(), many[0]), abs=1e-5)
    assert ClassMoments().total.dtype == torch.float32


@pytest.mark.parametrize(
    ("moments", "prediction"),
    [
        (ClassMoments, pixel(0.2, 0.8)),
        (BinaryMoments, pixel(0.2)),
        (GaussianMoments, pixel(2)),
        (VectorMoments, pixel(0.6, 0, 0.8)),
    ],
)
def test_a_prediction_changed_after_the_update_changes_nothing(
    moments: type[Moments], prediction: Tensor
) -> None:
    changed = prediction.clone()
    moving = moments()
    moving.update(changed)
    changed.fill_(0.5)
    assert after(moving, prediction) == pytest.approx(after(moments(), prediction, prediction))


def test_information_is_what_predictions_disagree_on_and_not_how_unsure_each_is() -> None:
    assert after(Information(lambda p: p), pixel(0.5, 0.5), pixel(0.5, 0.5)) == 0
    assert after(Information(lambda p: p), pixel(1, 0), pixel(0, 1)) == pytest.approx(math.log(2))
    assert after(Information(two_classes), pixel(1), pixel(0)) == pytest.approx(math.log(2))
    halfway = after(Information(lambda p: p), pixel(0.75, 0.25), pixel(0.25, 0.75))
    one = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert halfway == pytest.approx(math.log(2) - one, rel=1e-5)


def test_spread_is_the_variance_summed_over_channels_wherever_the_mean_is() -> None:
    assert after(Spread(), pixel(1, 0), pixel(3, 4)) == pytest.approx(1 + 4)
    assert after(Spread(), pixel(7)) == 0
    far = after(Spread(), *(pixel(8192 + step / 64) for step in range(10)))
    assert far == pytest.approx(sum((step - 4.5) ** 2 for step in range(10)) / 10 / 64**2, rel=1e-3)


def test_information_and_spread_need_a_prediction() -> None:
    for moments in (Information(lambda p: p), Spread()):
        with pytest.raises(ValueError, match="at least one prediction"):
            moments.uncertainty()
