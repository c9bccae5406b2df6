"""Polygons and COCO's run lengths become pixels."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as peer

from labelgrid.basics.errors import LabelError
from labelgrid.formats.coco_masks import decode_counts, encode_mask, fill_polygon, mask_of

RNG = np.random.default_rng(0)


def whole(part: NDArray[np.bool_], left: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((len(part), width), np.bool_)
    mask[:, left : left + part.shape[1]] = part
    return mask


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (40, 60), (700, 900)])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.4, 1.0])
def test_run_lengths_of_any_mask_are_decoded(size: tuple[int, int], share: float) -> None:
    mask = RNG.random(size) < share
    counts = decode_counts(peer.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"])
    assert (whole(*mask_of(counts, size), size[1]) == mask).all()


def test_a_square_covers_the_pixels_between_its_corners() -> None:
    ring = np.array([[1, 2], [4, 2], [4, 5], [1, 5]], float)
    expected = np.zeros((7, 8), np.bool_)
    expected[2:5, 1:4] = True
    assert (whole(*fill_polygon(ring, (7, 8)), 8) == expected).all()


@pytest.mark.parametrize("text", [b"5\x00", b"5P", b"\xff", b"o" * 20 + b"1"])
def test_what_is_no_compressed_string_is_refused(text: bytes) -> None:
    with pytest.raises(LabelError, match="no compressed string"):
        decode_counts(text)


@pytest.mark.parametrize("counts", [[5], [3, -1, 4], [7], [], [2**62, 2**62, 2**62, 2**62]])
def test_run_lengths_that_do_not_fill_the_mask_are_refused(counts: list[int]) -> None:
    with pytest.raises(LabelError, match="sum up"):
        mask_of(np.array(counts, np.int64), (2, 3))


@pytest.mark.parametrize("ring", [[[0, 0], [1e7, 0], [3, 3]], [[1e9, 0], [1e9, 3], [1e9 + 2, 0]]])
def test_a_polygon_that_would_fill_the_memory_is_refused(ring: list[list[float]]) -> None:
    with pytest.raises(LabelError, match="outline"):
        fill_polygon(np.array(ring, float), (7, 8))
    zigzag = np.array([[i % 2 * 8, i] for i in range(10**6)], float)
    with pytest.raises(LabelError, match="outline"):
        fill_polygon(zigzag, (7, 8))


def test_a_mask_is_encoded_as_pycocotools_does() -> None:
    mask = RNG.random((31, 47)) < 0.4
    text = encode_mask(mask)
    assert (whole(*mask_of(decode_counts(text.encode()), mask.shape), 47) == mask).all()
    assert text.encode() == peer.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
