"""Laws of stacked bars: shares of each bar's own whole, in words as in the picture."""

from labelgrid.drawings.bars import Bars
from labelgrid.drawings.drawing import drawing_bytes

COLOURS = {"labelled": "#0072b2", "missing": "#d9d9d9"}


def test_a_bar_shows_each_part_s_share_and_an_empty_one_nothing() -> None:
    bars = Bars(
        "cells",
        {"depth": {"labelled": 6, "missing": 4}, "new": {"labelled": 0, "missing": 0}},
        COLOURS,
    )
    assert bars.shares("depth") == {"labelled": 60.0, "missing": 40.0}
    assert bars.shares("new") == {"labelled": 0.0, "missing": 0.0}
    assert bars.alt == "depth: 60 % labelled, 40 % missing; new: nothing"


def test_a_very_long_name_leaves_room_for_the_bar() -> None:
    name = "a-task-" + "of-many-words-" * 6 + "end"
    svg = drawing_bytes(
        Bars("cells", {name: {"labelled": 6, "missing": 4}}, COLOURS), "svg"
    ).decode()
    assert (
        name not in svg
        and "a-task-of-ma…" in svg
        and name in Bars("", {name: {"labelled": 1}}, {"labelled": ""}).alt
    )


def test_the_picture_has_the_parts_colours_and_words() -> None:
    svg = drawing_bytes(
        Bars("cells", {"depth": {"labelled": 6, "missing": 4}}, COLOURS), "svg"
    ).decode()
    assert all(colour in svg for colour in COLOURS.values())
    assert all(f">{word}<" in svg for word in ("depth", "labelled", "missing"))
