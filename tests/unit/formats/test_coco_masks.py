"""Polygons and COCO's run lengths become pixels."""

import numpy as np
from pycocotools import mask as peer

from labelgrid.formats.coco_masks import decode, fill_polygon

RNG = np.random.default_rng(0)


def test_run_lengths_of_any_mask_are_decoded() -> None:
    for size in ((1, 1), (3, 5), (40, 60)):
        mask = RNG.random(size) < 0.4
        assert (decode(peer.encode(np.asfortranarray(mask.astype(np.uint8)))) == mask).all()


def test_a_square_covers_the_pixels_between_its_corners() -> None:
    ring = np.array([[1, 2], [4, 2], [4, 5], [1, 5]], float)
    expected = np.zeros((7, 8), np.bool_)
    expected[2:5, 1:4] = True
    assert (fill_polygon(ring, (7, 8)) == expected).all()
