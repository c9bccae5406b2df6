"""Losses on supplied labels: the prediction is fitted to the map."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.pixel import losses, map_fit
from labelgrid.pixel.fitted_loss import SuppliedTarget, fit_line, map_spread, supplied_loss
from labelgrid.pixel.target import Target

SIZE = (16, 12)


def supplied(
    maps: torch.Tensor, *, shift: bool = False, inverse: bool = False, usual: float = 1.5
) -> SuppliedTarget:
    """Maps [b, 1, h, w] with a tenth of the pixels missing."""
    rng = np.random.default_rng(5)
    valid = torch.from_numpy(rng.random(maps.shape) > 0.1)
    row = torch.tensor([float(shift), float(inverse), usual, 0.05], dtype=torch.float64)
    return SuppliedTarget(
        Target(torch.where(valid, maps, torch.nan), valid),
        torch.ones_like(maps),
        torch.ones(len(maps), dtype=torch.bool),
        row.expand(len(maps), 4),
    )


def predictions(count: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(6)
    return torch.from_numpy(rng.uniform(0.5, 9, (count, 1, *SIZE)))


def maps_of(prediction: torch.Tensor) -> torch.Tensor:
    """Maps that differ from a prediction by more than a line."""
    rng = np.random.default_rng(7)
    return 4 * prediction + torch.from_numpy(rng.normal(0, 3, prediction.shape)) + 20


def loss_of(raw: torch.Tensor, given: SuppliedTarget) -> torch.Tensor:
    return supplied_loss(raw, given, losses.absolute_error, lambda values: values)


def slow_loss(
    prediction: np.ndarray, given: SuppliedTarget, row: int, *, shift: bool, inverse: bool
) -> float:
    """The loss of an image by its definition, in float64."""
    valid = given.target.valid[row, 0].numpy()
    aim = given.target.value[row, 0].numpy()[valid]
    values = prediction[row, 0][valid]
    if inverse:
        near = np.maximum(values, 0.05)
        values = 1 / near + (near - values) / 0.05**2
    line = map_fit.fit(values, aim, shift=shift)
    error = np.abs(line.scale * values + line.shift - aim)
    middle = np.sort(aim)[(len(aim) - 1) // 2]
    return float(error.mean() / np.abs(aim - middle).mean() * 1.5)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shift", [False, True])
def test_the_loss_is_its_definition(shift: bool, inverse: bool) -> None:
    prediction = predictions()
    given = supplied(maps_of(prediction), shift=shift, inverse=inverse)
    expected = []
    for row in range(3):
        of_row = slow_loss(prediction.numpy(), given, row, shift=shift, inverse=inverse)
        expected.append(of_row)
    np.testing.assert_allclose(loss_of(prediction, given), expected, rtol=1e-9)


@pytest.mark.parametrize("shift", [False, True])
def test_the_fit_of_a_batch_equals_that_of_each_map(shift: bool) -> None:
    values = predictions().flatten(1)
    aim = maps_of(predictions()).flatten(1)
    valid = supplied(predictions()).target.valid.flatten(1)
    fitted = fit_line(values, aim, valid, shift=torch.full((3,), shift))
    for row in range(3):
        here = valid[row].numpy()
        line = map_fit.fit(values[row].numpy()[here], aim[row].numpy()[here], shift=shift)
        np.testing.assert_allclose(fitted[row].numpy()[here], line.of(values[row].numpy()[here]))
        width = map_spread(aim[row : row + 1], valid[row : row + 1])
        assert float(width) == pytest.approx(map_fit.spread(aim[row].numpy()[here]))


def with_gradient(prediction: torch.Tensor, given: SuppliedTarget) -> list[torch.Tensor]:
    raw = prediction.clone().requires_grad_()
    values = loss_of(raw, given)
    values.sum().backward()
    assert raw.grad is not None
    return [values.detach(), raw.grad]


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("scale", "offset"), [(7.0, 0.0), (7.0, 3.0), (0.01, -4.0)])
def test_a_map_of_another_scale_or_shift_changes_no_loss_and_no_gradient(
    scale: float, offset: float, inverse: bool
) -> None:
    prediction = predictions()
    shift = offset != 0
    given = supplied(maps_of(prediction), shift=shift, inverse=inverse)
    value = scale * given.target.value + offset
    other = replace(given, target=replace(given.target, value=value))
    pairs = zip(with_gradient(prediction, given), with_gradient(prediction, other), strict=True)
    for one, another in pairs:
        torch.testing.assert_close(one, another, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shift", [False, True])
def test_the_gradient_passes_through_the_fit(shift: bool) -> None:
    prediction = predictions(1)
    given = supplied(maps_of(prediction), shift=shift)
    torch.autograd.gradcheck(
        lambda raw: loss_of(raw, given), prediction.requires_grad_(), eps=1e-7, atol=1e-4
    )


def test_a_constant_prediction_is_worse_than_the_right_shape() -> None:
    shape = predictions()
    given = supplied(7 * shape + 3, shift=True)
    right = loss_of(0.2 * shape + 1, given)
    constant = loss_of(torch.full_like(shape, 2.0), given)
    assert (right < 1e-6).all() and (constant > 1.4).all()
    raw = torch.full_like(shape, 2.0, requires_grad=True)
    loss_of(raw, given).sum().backward()
    assert raw.grad is not None and raw.grad.isfinite().all()


def test_few_predictions_that_cannot_be_inverted_change_the_loss_by_little() -> None:
    rng = np.random.default_rng(3)
    shape = torch.from_numpy(rng.uniform(1, 5, (1, 1, 40, 40)))
    given = SuppliedTarget(
        Target(1 / shape, torch.ones(shape.shape, dtype=torch.bool)),
        torch.ones_like(shape),
        torch.ones(1, dtype=torch.bool),
        torch.tensor([[1.0, 1.0, 1.5, 1.0]], dtype=torch.float64),
    )
    raw = shape.clone()
    raw[0, 0, 0, :16] = 0.0  # 1 %
    loss, gradient = with_gradient(raw, given)
    assert float(loss) < 0.25  # a constant: 1.5
    assert (gradient[0, 0, 0, :16] != 0).all()


def test_a_prediction_that_starts_near_0_learns_the_inverse_of_a_map() -> None:
    rng = np.random.default_rng(4)
    shape = torch.from_numpy(rng.uniform(1, 5, (1, 1, 40, 40)))
    given = replace(
        supplied(1 / shape, shift=True, inverse=True), confidence=torch.ones_like(shape)
    )
    given = replace(given, target=Target(1 / shape, torch.ones(shape.shape, dtype=torch.bool)))
    given = replace(given, up_to=torch.tensor([[1.0, 1.0, 1.5, 0.5]], dtype=torch.float64))
    raw = (0.01 * torch.from_numpy(rng.normal(0, 1, shape.shape))).requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=0.05)
    first = float(loss_of(raw.detach(), given))
    for _ in range(300):
        optimiser.zero_grad()
        loss = loss_of(raw, given).sum()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3 * first


@pytest.mark.parametrize("values", [0.0, -3.0])
def test_predictions_that_cannot_be_inverted_are_finite_and_garbage_reaches_no_gradient(
    values: float,
) -> None:
    shape = predictions()
    given = supplied(1 / shape, shift=True, inverse=True)
    raw = torch.where(given.target.valid, shape, torch.full_like(shape, values))
    raw[:, :, :2] = -1.0
    finite = torch.where(given.target.valid, raw, 1.0)
    one, other = with_gradient(raw, given), with_gradient(finite, given)
    assert one[0].isfinite().all() and one[1].isfinite().all()
    torch.testing.assert_close(one[1], other[1])


def test_a_map_with_few_pixels_or_without_spread_says_nothing() -> None:
    shape = predictions()
    given = supplied(shape, shift=True)
    few = torch.zeros(given.target.valid.shape, dtype=torch.bool)
    few.flatten(1)[:, : map_fit.FEWEST_PIXELS - 1] = True
    assert not given.where(few).present.any()
    flat = torch.where(given.target.valid, 2.0, torch.nan).double()
    assert not replace(given, target=replace(given.target, value=flat)).present.any()
    assert given.present.all()


def test_a_perfect_map_weighs_as_a_true_label() -> None:
    truth = predictions()
    scaled = supplied(5 * truth, usual=map_fit.spread(truth[0].numpy().ravel()))[:1]
    wrong = truth[:1] + torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, truth[:1].shape))
    target = Target(truth[:1], scaled.target.valid)
    true_loss = losses.absolute_error(wrong, target).sum() / target.valid.sum()
    assert float(loss_of(wrong, scaled)) == pytest.approx(float(true_loss), rel=0.15)


def test_confidence_weighs_pixels_and_labels_in_the_tasks_numbers_have_the_tasks_loss() -> None:
    prediction = predictions()
    given = replace(supplied(maps_of(prediction)), fitted=torch.zeros(3, dtype=torch.bool))
    plain = losses.absolute_error(prediction, given.target).sum((1, 2, 3))
    count = given.target.valid.sum((1, 2, 3))
    torch.testing.assert_close(loss_of(prediction, given), plain / count)
    halved = replace(given, confidence=torch.full_like(prediction, 0.5))
    torch.testing.assert_close(loss_of(prediction, halved), plain / count / 2)


def test_rows_of_both_sorts_are_computed_as_if_alone() -> None:
    prediction = predictions()
    given = supplied(maps_of(prediction), shift=True)
    mixed = replace(given, fitted=torch.tensor([True, False, True]))
    together = loss_of(prediction, mixed)
    for row in range(3):
        rows = slice(row, row + 1)
        torch.testing.assert_close(loss_of(prediction[rows], mixed[rows]), together[rows])
