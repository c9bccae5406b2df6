"""Regions are painted on a map, the later ones over the earlier."""

import warnings

import numpy as np
import pytest
from pycocotools import mask as peer

from labelgrid.basics.errors import LabelError
from labelgrid.formats.regions import MOST_COVERS, UNCOVERED, Canvas

RNG = np.random.default_rng(0)


def test_later_masks_cover_earlier_ones_and_the_rest_stays_uncovered() -> None:
    canvas = Canvas((3, 4))
    canvas.paint(np.ones((2, 3), np.bool_), 0)
    canvas.paint(np.array([[True, False], [True, True]]), 1, top=1, left=2)
    assert canvas.regions.tolist() == [[0, 0, 0, -1], [0, 0, 1, -1], [-1, -1, 1, 1]]


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (0, -1), (2, 0), (0, 3)])
def test_a_mask_that_leads_out_is_refused(top: int, left: int) -> None:
    with pytest.raises(LabelError, match="leads out of the image"):
        Canvas((3, 4)).paint(np.ones((2, 2), np.bool_), 0, top=top, left=left)


def test_a_polygon_is_filled_as_pycocotools_fills_it_on_the_whole_image() -> None:
    for _ in range(200):
        ring = RNG.uniform((-20, -20), (80, 60), (RNG.integers(3, 9), 2)).round(2)
        canvas = Canvas((40, 60))
        canvas.paint_polygons([ring], 7)
        runs = peer.frPyObjects([ring.ravel().tolist()], 40, 60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            whole = peer.decode(runs)[..., 0] == 1
        assert ((canvas.regions == 7) == whole).all()


def test_the_polygons_of_one_region_are_all_painted() -> None:
    square = np.array([[1, 1], [4, 1], [4, 4], [1, 4]], float)
    canvas = Canvas((10, 10))
    canvas.paint_polygons([square, square + 5], 2)
    assert (canvas.regions == 2).sum() == 18
    assert canvas.regions[5, 5] == UNCOVERED


@pytest.mark.parametrize("ring", [[[0, 0], [1, 1]], [[0, 0, 0]] * 3, [[0, 0], [np.nan, 1], [2, 2]]])
def test_what_is_no_polygon_is_refused(ring: list[list[float]]) -> None:
    with pytest.raises(LabelError, match="at least three points"):
        Canvas((5, 5)).paint_polygons([np.array(ring, float)], 0)


def test_masks_that_cover_the_image_without_end_are_refused() -> None:
    canvas = Canvas((2, 3))
    for _ in range(MOST_COVERS):
        canvas.paint(np.ones((2, 3), np.bool_), 1)
    with pytest.raises(LabelError, match="more than 1,000 times"):
        canvas.paint(np.ones((1, 1), np.bool_), 1)
