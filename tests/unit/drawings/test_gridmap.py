"""Laws of the grid's picture: every cell is of one kind, in one colour, and the words count them all."""

import numpy as np

from labelgrid.drawings.drawing import drawing_bytes
from labelgrid.drawings.gridmap import GridMap
from labelgrid.drawings.request_history import NEVER, SKIPPED, WAITING, RequestHistory

COVERS = ["labelgrid.drawings.request_history"]

ROUND = np.array([[1, 1], [2, -1], [0, 3], [3, 3]])
WAIT = np.array([[False, False], [False, False], [False, False], [False, True]])
SKIP = np.array([[False, False], [True, False], [False, False], [False, False]])
ASKED = RequestHistory(["semseg", "depth"], ROUND, WAIT, SKIP)


def test_each_cell_is_counted_once() -> None:
    assert ASKED.kinds == ["outside the rounds", "round 1", "round 3", WAITING, SKIPPED, NEVER]
    assert list(ASKED.counts()["semseg"].values()) == [1, 1, 1, 0, 1, 0]
    assert list(ASKED.counts()["depth"].values()) == [0, 1, 1, 1, 0, 1]


def test_the_picture_has_a_colour_a_kind_and_says_what_it_shows() -> None:
    drawing = GridMap("grid", ASKED, "partal, seed 0")
    colours = drawing.colours()
    assert list(colours) == ASKED.kinds and len(set(colours.values())) == len(colours)
    assert drawing.alt == (
        "The grid of partal, seed 0. semseg: 1 outside the rounds, 1 round 1, 1 round 3, 1 skipped; "
        "depth: 1 round 1, 1 round 3, 1 no answer yet, 1 not requested"
    )
    assert b"semseg" in drawing_bytes(drawing, "svg") and b"round 3" in drawing_bytes(
        drawing, "svg"
    )


def test_a_grid_of_very_many_images_makes_a_small_file_and_one_of_none_makes_one_too() -> None:
    n = 100_000
    rounds = np.random.default_rng(0).integers(-1, 5, (n, 5))
    no = np.zeros((n, 5), bool)
    assert (
        len(drawing_bytes(GridMap("grid", RequestHistory([*"abcde"], rounds, no, no)), "svg"))
        < 200_000
    )
    none = RequestHistory(
        ["a"], np.zeros((0, 1), np.int64), np.zeros((0, 1), bool), np.zeros((0, 1), bool)
    )
    assert drawing_bytes(GridMap("grid", none), "png")
