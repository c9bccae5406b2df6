import numpy as np
import pytest

from labelgrid.pixel import matching
from labelgrid.pixel.matching import Matcher


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
    monkeypatch.setattr(matching, "CHUNK", 7)
    assert np.array_equal(Matcher(truth, radius=1).have_partners(np.argwhere(found)), whole)


def test_a_dense_map_is_matched_in_a_moment() -> None:
    """SciPy's `maximum_bipartite_matching` takes minutes on such graphs, by the way they lie."""
    draws = np.random.default_rng(0)
    truth, found = draws.random((2, 240, 320)) < 0.15
    for one, other in ((truth, found), (found, truth)):
        assert Matcher(one, radius=4.4).have_partners(np.argwhere(other)).mean() > 0.9
