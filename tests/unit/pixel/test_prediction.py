import torch

from labelgrid.pixel.prediction import class_probabilities, one_hot, unchanged, unit_vectors


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


def test_one_hot_is_certain_of_each_pixels_class() -> None:
    classes = torch.tensor([[[[0, 2], [1, 2]]]])
    told = one_hot(classes, 4)
    assert told.dtype == torch.float32
    assert torch.equal(told.argmax(1, keepdim=True), classes)
    assert told.sum().item() == 4


def test_unchanged_values_are_the_values() -> None:
    values = torch.randn(2, 1, 3, 3)
    assert unchanged(values) is values
