"""CVAT's run lengths: a slow independent version, and what is refused."""

from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.basics.errors import LabelError
from labelgrid.formats.cvat_runs import decode_runs, encode_runs


def slow_runs(mask: NDArray[np.bool_]) -> list[int]:
    """A loop over the pixels, row by row; written from the format's description."""
    runs = [(is_region, len(list(group))) for is_region, group in groupby(mask.ravel().tolist())]
    return [0] * runs[0][0] + [length for _, length in runs]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (37, 53)])
def test_run_lengths_are_those_of_a_slow_loop_and_come_back(
    size: tuple[int, int], share: float
) -> None:
    mask = np.random.default_rng(3).random(size) < share
    text = encode_runs(mask)
    assert [int(part) for part in text.split(",")] == slow_runs(mask)
    assert np.array_equal(decode_runs(text, size), mask)
    assert np.array_equal(decode_runs(text.replace(" ", ""), size), mask)


def test_the_example_that_datumaro_reads() -> None:
    mask = decode_runs("0, 25, 25, 25", (3, 25))
    assert mask.all(axis=1).tolist() == [True, False, True] and mask.sum() == 50


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no list of whole numbers"),
        ("1,,5", "no list of whole numbers"),
        ("1.0, 5", "no list of whole numbers"),
        ("nan, 6", "no list of whole numbers"),
        ("1" * 5000, "no list of whole numbers"),
        ("1, " * 1_000_000, "no list of whole numbers"),
        ("-1, 7", "below 0 or above"),
        ("7", "below 0 or above"),
        ("99999999999, 1", "below 0 or above"),
        ("1, 4", "sum up to 5; its box of 2x3 has 6"),
        ("6, 6, 6", "sum up to 18"),
        ("0, 6, 1", "sum up to 7"),
    ],
)
def test_run_lengths_that_do_not_fit_are_refused(text: str, what: str) -> None:
    with pytest.raises(LabelError, match=what):
        decode_runs(text, (2, 3))
