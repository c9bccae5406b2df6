"""Maps of another scale, brought to the scale of a task's labels."""

import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.alignment import Extent, align_to, extent_of, invert, usual_extent

RNG = np.random.default_rng(7)
DEPTH = RNG.uniform(1, 9, (12, 16, 1)).astype(np.float32)
VALID = RNG.uniform(size=(12, 16)) < 0.8
LABEL = LabelArray(np.where(VALID[..., None], DEPTH, np.nan).astype(np.float32), VALID)
USUAL = extent_of(LABEL)


def test_another_scale_is_found() -> None:
    found = align_to(LabelArray(LABEL.value * 7, VALID), USUAL, "scale")
    np.testing.assert_allclose(found.value[VALID], LABEL.value[VALID], rtol=1e-5)
    np.testing.assert_array_equal(found.valid, VALID)


def test_another_scale_and_zero_of_inverse_depth_are_found() -> None:
    inverse = invert(LABEL)
    given = LabelArray(inverse.value * 40 + 3, VALID)
    found = invert(align_to(given, extent_of(inverse), "scale-shift"))
    both = found.valid & VALID
    assert both.sum() >= VALID.sum() - 2  # its ends may be rounded
    np.testing.assert_allclose(found.value[both], LABEL.value[both], rtol=1e-4)


def test_nothing_is_fitted_unless_it_is_asked_for() -> None:
    assert align_to(LABEL, Extent(1, 1, 0, 2), "none") is LABEL


def test_shifted_values_outside_of_the_usual_ends_are_not_valid() -> None:
    label = LabelArray(np.float32([[[0], [1], [2], [3], [100]]]), np.ones((1, 5), np.bool_))
    found = align_to(label, Extent(2, 2, 1, 4), "scale-shift")
    assert found.valid.tolist() == [[False, True, True, True, False]]


def test_a_flat_map_has_no_width_to_fit() -> None:
    flat = LabelArray(np.full((2, 2, 1), 5, np.float32), np.ones((2, 2), np.bool_))
    assert align_to(flat, Extent(2, 1, 1, 4), "scale-shift").value.tolist() == [[[2], [2]]] * 2


def test_what_is_not_above_0_has_no_inverse() -> None:
    label = LabelArray(np.float32([[[-1], [0], [4]]]), np.ones((1, 3), np.bool_))
    found = invert(label)
    assert found.valid.tolist() == [[False, False, True]] and found.value[0, 2, 0] == 0.25


def test_masked_in_masked_out() -> None:
    spoilt = LabelArray(np.where(VALID[..., None], DEPTH, 1e6).astype(np.float32), VALID)
    for align in ("scale", "scale-shift"):
        one = align_to(LABEL, Extent(3, 2, 0, 99), align)
        other = align_to(spoilt, Extent(3, 2, 0, 99), align)
        np.testing.assert_array_equal(one.value[one.valid], other.value[other.valid])


def test_without_labels_there_is_no_usual_extent() -> None:
    assert usual_extent([]) is None
    assert usual_extent([USUAL]) == pytest.approx(USUAL)
