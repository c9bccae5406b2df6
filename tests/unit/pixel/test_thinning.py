import numpy as np

from labelgrid.pixel.thinning import thin


def test_a_line_and_a_point_stay_as_they_are() -> None:
    masks = np.zeros((2, 6, 9), np.bool_)
    masks[0, 3, 1:8] = masks[1, 2, 4] = True
    assert np.array_equal(thin(masks), masks)


def test_a_filled_square_becomes_a_pixel_and_a_ring_stays_closed() -> None:
    masks = np.zeros((2, 11, 11), np.bool_)
    masks[:, 1:10, 1:10] = True
    masks[1, 5, 5] = False
    square, ring = thin(masks)
    assert square.sum() == 1
    assert not ring[5, 5] and ring.sum() >= 4
    assert all(
        ring[5].nonzero()[0].size == 2 and line.any()
        for line in (ring[:, 5], ring[:5, 5], ring[6:, 5])
    )


def test_pixels_at_the_edge_of_the_map_are_thinned_too() -> None:
    mask = np.ones((1, 4, 30), np.bool_)
    thinned = thin(mask)[0]
    assert thinned.sum(0).max() == 1 and thinned.any(0).sum() > 20


def test_nothing_and_no_map_at_all() -> None:
    assert not thin(np.zeros((3, 4, 5), np.bool_)).any()
    assert thin(np.zeros((0, 4, 5), np.bool_)).shape == (0, 4, 5)
