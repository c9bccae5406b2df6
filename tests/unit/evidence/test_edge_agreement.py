"""A small shift that all labels share is found; outlines that are wide or loose have none."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.evidence.edge_agreement import GRID, Edges, common_shift, is_same_shift, on_grid

SIZE = (240, 320)


def outline(number: int, move: tuple[int, int] = (0, 0), width: int = 1) -> NDArray[np.float32]:
    """The outlines of six things."""
    rng = np.random.default_rng(number)
    drawn = np.zeros(SIZE, np.float32)
    for _ in range(6):
        points = rng.integers((20, 20), (300, 220), (4, 2)).astype(np.int32) + move[::-1]
        cv2.polylines(drawn, [cv2.convexHull(points)], True, 1.0, width)
    return drawn


def pairs(count: int, move: tuple[int, int] = (0, 0), width: int = 1) -> list[tuple[Edges, Edges]]:
    """Labels of some images, and the edges of these with others in the background."""
    labels = [on_grid(outline(number, move, width)) for number in range(count)]
    images = [on_grid(outline(n) + 0.7 * outline(n + 1000)) for n in range(count)]
    return list(zip(labels, images, strict=True))


@pytest.mark.parametrize(("down", "right"), [(0, 8), (0, -10), (9, 0), (-8, 8)])
def test_a_shift_is_found_within_a_step(down: int, right: int) -> None:
    found = common_shift(pairs(10, (down, right)))
    assert found is not None
    assert np.abs((np.array(found) - (down / 240, right / 320)) * GRID).max() <= 1.5
    assert is_same_shift(found, (down / 240, right / 320))


@pytest.mark.parametrize("width", [1, 5, 9])
def test_right_labels_are_not_shifted_however_wide_their_lines_are(width: int) -> None:
    assert common_shift(pairs(10, (0, 0), width)) is None
    assert common_shift(pairs(10, (2, -3), width)) is None


def test_labels_of_other_images_have_no_shift() -> None:
    labels, images = zip(*pairs(12), strict=True)
    assert common_shift(list(zip(labels[1:] + labels[:1], images, strict=True))) is None


def test_a_shift_differs_from_none_and_from_the_other_way() -> None:
    assert not is_same_shift((0.0, 0.03), None)
    assert not is_same_shift((0.0, 0.03), (0.0, -0.03))
