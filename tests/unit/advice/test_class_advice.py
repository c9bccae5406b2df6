"""Advice on classes: the worst are named, and the one that better ones have more labels of."""

import math
from pathlib import Path

from labelgrid.advice.class_advice import class_advice
from labelgrid.operations.class_rows import ClassRow
from labelgrid.project.shown_classes import ShownClasses

#: Small classes that many labels show and that are predicted well.
KNOWN = {"cup": (30.0, 0.5, 20), "key": (40.0, 0.2, 24), "pen": (50.0, 0.1, 40)}


def row(name: str, iou: float, share: float, change: float | None = None) -> ClassRow:
    return ClassRow(name=name, iou=iou, change=change, area=share, pixels=round(1000 * share))


def classes(**more: tuple[float, float, int]) -> tuple[list[ClassRow], ShownClasses]:
    """The known classes and more, each with IoU, share of the pixels, and labels that show it."""
    found = {**KNOWN, **more}
    counts = {name: shown for name, (_, _, shown) in found.items()}
    return [row(name, iou, share) for name, (iou, share, _) in found.items()], ShownClasses(
        60, counts
    )


def test_the_worst_classes_are_named_with_the_labels_that_show_them() -> None:
    rows, shown = classes(bag=(3.8, 9.0, 12), hat=(math.nan, 0, 0), wall=(70, 80, 60))
    worst, _ = class_advice("parts", rows, shown, folder=Path("room"))
    assert worst.text == (
        "parts: the lowest IoU of its 5 classes: bag 3.8 % (9.0 % of the pixels, in 12 of 60 "
        "labels), cup 30 % (0.5 % of the pixels, in 20 of 60 labels), key 40 % (0.2 % of the "
        "pixels, in 24 of 60 labels)."
    )


def test_the_class_is_named_that_more_labels_would_help_as_they_helped_smaller_ones() -> None:
    rows, shown = classes(bag=(4.0, 9.0, 10), hat=(1.0, 9.0, 40), sky=(0.0, 0.01, 1))
    _, buy = class_advice("parts", rows, shown, folder=Path("room"))
    assert buy.text == (
        "parts: photographs that show bag may help most. Its IoU is 4 %, and it is in 10 of 60 labels; 4 classes that "
        "are no larger, but are in at least twice as many labels, have 35 % (the median). If it became as good, the "
        "mean of all classes would rise by 5.17 points. `labelgrid query room --class parts:bag --budget N` asks for "
        "labels of photographs in which the model predicts most of it."
    )
    assert buy.command == "labelgrid query room --class parts:bag --budget N"
    assert (buy.task, buy.class_name, buy.now, buy.value) == ("parts", "bag", 4.0, 35.0)
    assert buy.answered


def test_the_command_for_a_class_has_the_budget_that_the_project_usually_has() -> None:
    for counts in ((4.0, 9.0, 10), (0.0, 9.0, 0)):
        rows, shown = classes(bag=counts, sky=(0.0, 0.01, 1))
        usual = ["--budget", "200", "--unit", "cost"]
        _, buy = class_advice("parts", rows, shown, folder=Path("room"), budget=usual)
        assert buy.command.endswith(" --budget 200 --unit cost")
        assert f"`{buy.command}` asks for labels" in buy.text


def test_a_class_without_a_label_that_shows_it_may_be_the_one() -> None:
    rows, shown = classes(bag=(0.0, 9.0, 0))
    _, buy = class_advice("parts", rows, shown, folder=Path("room"))
    assert buy.class_name == "bag" and "it is in 0 of 60 labels" in buy.text
    assert buy.command == "labelgrid query room --like IMAGE --task parts --budget N"
    assert "are like one which you name" in buy.text


def test_it_is_too_early_while_classes_with_more_labels_are_no_better() -> None:
    rows, shown = classes(bag=(39.5, 9.0, 10), sky=(0.0, 0.01, 1))
    _, early = class_advice("parts", rows, shown, folder=Path("room"))
    assert early.text == (
        "parts: too early to say which class more labels would help. That shows once a class is predicted worse than 3 "
        "or more classes that are no larger, but are in at least twice as many labels. Later rounds may tell."
    )
    assert not early.answered and early.class_name == ""


def unlearnt(zeros: int, others: int) -> tuple[list[ClassRow], ShownClasses]:
    """So many classes at 0 %, each in fewer labels than the others."""
    rows = [row(f"zero {index}", 0.4, 1.0) for index in range(zeros)]
    rows += [row(f"one {index}", 30.0, 1.0) for index in range(others)]
    return rows, ShownClasses(60, {each.name: 5 + 20 * (each.iou > 1) for each in rows})


def test_a_network_that_has_not_learnt_most_classes_is_told_instead_of_single_ones() -> None:
    rows, shown = unlearnt(9, 4)
    (early,) = class_advice("parts", rows, shown, folder=Path("room"), pretrained=True)
    assert early.text == (
        "parts: the IoU of 9 of its 13 classes is 0 %: the network has not learnt yet, and no single class is the "
        "cause. A longer training (`labelgrid fit room --epochs N`) or more labels of all classes help first."
    )
    assert not early.answered and (early.task, early.class_name) == ("parts", "")
    (random,) = class_advice("parts", rows, shown, folder=Path("room"), pretrained=False)
    assert random.text.endswith(
        "A longer training (`labelgrid fit room --epochs N`), more labels of all classes, or a pretrained backbone "
        "(`labelgrid fit room --set backbone.pretrained=true --keep`) help first."
    )


def test_a_network_that_has_learnt_half_of_its_classes_gets_advice_on_single_ones() -> None:
    rows, shown = unlearnt(4, 4)
    worst, buy = class_advice("parts", rows, shown, folder=Path("room"))
    assert "the lowest IoU" in worst.text and buy.class_name == "zero 0"


def test_the_mean_of_one_class_needs_no_advice() -> None:
    shown = ShownClasses(9, {"wall": 9})
    assert class_advice("parts", [row("wall", 70, 100)], shown, folder=Path("room")) == []
