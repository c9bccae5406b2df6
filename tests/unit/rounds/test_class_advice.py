"""Advice on classes: the worst are named, and the one that the last labels helped most."""

import math

from labelgrid.project.class_rows import ClassRow
from labelgrid.rounds.class_advice import class_advice


def row(name: str, iou: float, change: float | None, share: float) -> ClassRow:
    return ClassRow(name=name, iou=iou, change=change, share=share, pixels=1)


def test_the_worst_classes_are_named_and_the_one_that_rose_most() -> None:
    classes = [
        row("dress", 0.1, 0.0, 0.9),
        row("bag", 11, 6.0, 9),
        row("hat", 30, -8.0, 0.1),
        row("wall", 70, 2.0, 90),
        row("sky", math.nan, None, 0),
    ]
    worst, risen = class_advice({"parts": classes})
    assert worst.text == (
        "parts: of its 4 classes, the lowest IoU have dress 0.1 % (0.9 % of the pixels), bag 11 % "
        "(9.0 % of the pixels), hat 30 % (0.1 % of the pixels)."
    )
    assert risen.text == (
        "parts: the last labels helped bag most, +6 points of IoU: photographs that show it may "
        "help again."
    )
    assert (risen.now, risen.unit) == (11, "%")


def test_a_first_round_and_one_that_moved_nothing_say_what_is_worst_alone() -> None:
    for change in (None, 0.5, -3.0):
        classes = [row("wall", 70, change, 90), row("bag", 2, change, 10)]
        assert len(class_advice({"semseg": classes})) == 1
    assert class_advice({"semseg": [row("wall", 70, 3.0, 100)]}) == []
