import numpy as np
import pytest

from labelgrid.pixel import boundaries
from labelgrid.pixel.boundaries import (
    THRESHOLDS,
    Matcher,
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


def line(column: int, shape: tuple[int, int] = (12, 12)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[:, column] = True
    return mask


def test_a_shifted_line_has_partners_up_to_the_radius() -> None:
    truth = Matcher(line(4), radius=2)
    assert [truth.have_partners(np.argwhere(line(column))).sum() for column in (2, 4, 6, 7)] == [
        12,
        12,
        12,
        0,
    ]


def test_a_second_response_to_a_line_has_no_partner() -> None:
    both = np.argwhere(line(4) | line(5))
    assert Matcher(line(4), radius=2).have_partners(both).sum() == 12


def test_every_pixel_gets_a_partner_where_the_nearest_ones_would_not_do() -> None:
    truth = np.zeros((1, 8), np.bool_)
    truth[0, [1, 3]] = True
    assert (
        Matcher(truth, radius=2).have_partners(np.array([[0, 2], [0, 0]])).all()
    )  # (0, 0) reaches column 1 alone


def test_nothing_to_find_and_nothing_found() -> None:
    empty, some = np.zeros((12, 12), np.bool_), np.argwhere(line(3))
    assert not Matcher(empty, radius=2).have_partners(some).any()
    assert Matcher(line(3), radius=2).have_partners(np.argwhere(empty)).shape == (0,)


def test_more_points_than_are_looked_up_at_once_are_matched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draws = np.random.default_rng(1)
    truth, found = draws.random((2, 20, 30)) < 0.3
    whole = Matcher(truth, radius=1).have_partners(np.argwhere(found))
    monkeypatch.setattr(boundaries, "CHUNK", 7)
    assert np.array_equal(Matcher(truth, radius=1).have_partners(np.argwhere(found)), whole)


def test_a_dense_map_is_matched_in_a_moment() -> None:
    """SciPy's `maximum_bipartite_matching` takes minutes on such graphs, by the way they lie."""
    draws = np.random.default_rng(0)
    truth, found = draws.random((2, 240, 320)) < 0.15
    for one, other in ((truth, found), (found, truth)):
        assert Matcher(one, radius=4.4).have_partners(np.argwhere(other)).mean() > 0.9
