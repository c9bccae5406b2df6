import numpy as np
import pytest

from labelgrid.pixel.boundaries import (
    THRESHOLDS,
    average_precision,
    boundary_counts,
    precision_recall_f,
)


def test_predictions_at_a_threshold_count_and_thresholds_are_hundredths() -> None:
    truth = np.zeros((20, 20), np.bool_)
    truth[10] = True
    for value in THRESHOLDS[[0, 28, 56, 98]]:
        found = boundary_counts(truth * value, [truth])[3]
        assert (found > 0).sum() == round(value * 100)
    assert THRESHOLDS.shape == (99,)


def test_thick_predictions_count_as_lines() -> None:
    truth, thick = np.zeros((2, 30, 30))
    truth[15], thick[13:18] = 1, 0.7
    found, true, partners, predicted = boundary_counts(thick, [truth > 0], distance=0.05)[:, 50]
    assert true == 30 and found == partners == predicted and predicted > 24


def test_empty_truth_and_empty_prediction() -> None:
    empty, line = np.zeros((2, 10, 10), np.bool_)
    line[5] = True
    assert boundary_counts(line * 0.5, [empty])[:, 20].tolist() == [0, 0, 0, 10]
    assert boundary_counts(empty * 0.5, [line])[:, 20].tolist() == [0, 10, 0, 0]
    counts = np.array([[0, 0], [0, 10], [0, 0], [10, 0]])
    assert all(not figure.any() for figure in precision_recall_f(counts))


def test_a_map_that_is_smaller_than_the_border_can_be_suppressed() -> None:
    for shape in ((1, 1), (1, 7), (3, 3), (2, 30)):
        truth = np.ones(shape, np.bool_)
        counts = boundary_counts(np.full(shape, 0.5), [truth], nms=True)
        assert counts.shape == (4, 99)


def test_average_precision_lies_on_straight_lines_between_recalls() -> None:
    assert average_precision(np.array([1.0, 0.5]), np.array([0.0, 1.0])) == pytest.approx(
        0.75 * 1.01
    )
    part = average_precision(
        np.array([1.0, 1.0]), np.array([0.25, 0.5])
    )  # recalls of .25 to .50: 26 of them
    assert part == pytest.approx(0.26)
    assert average_precision(np.array([0.2, 0.8, 0.4]), np.array([0.5, 0.5, 0.5])) == pytest.approx(
        0.008
    )
