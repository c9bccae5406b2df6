"""Laws of single labels that are unlike the others."""

import math

import numpy as np
import pytest

from labelgrid.evidence.single_doubts import SingleDoubts
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.figures import LabelFigure

RNG = np.random.default_rng(0)


def depth(metres: float) -> dict[str, LabelFigure]:
    return {
        "the median depth": LabelFigure(value=metres, tolerance=3.0, ratio=True, unit=" m"),
        "the nearest": LabelFigure(value=metres / 2, tolerance=2.5, ratio=True, unit=" m"),
    }


def heights(**values: float) -> dict[str, LabelFigure]:
    return {
        f"the height of {name}": LabelFigure(value=value, tolerance=0.4)
        for name, value in values.items()
    }


Figures = list[dict[str, LabelFigure]]


def odd(figures: Figures, task: str = "depth", earlier: Figures | None = None) -> SingleDoubts:
    found = SingleDoubts()
    found.compare_with(task, earlier or [])
    for number, each in enumerate(figures):
        found.add(Cell(f"{number}.jpg", task), each)
    return found


def rooms(count: int) -> Figures:
    """Depths as NYUv2 has them: up to 2.8 times off the median."""
    return [depth(value) for value in np.geomspace(0.95, 6.2, count)]


@pytest.mark.parametrize("count", [4, 20, 200])
def test_a_label_in_another_unit_is_named_beside_the_others(count: int) -> None:
    (doubt,) = odd([*rooms(count), depth(0.003)]).doubts("depth")
    assert list(doubt.notes) == [f"{count}.jpg"]
    assert doubt.notes[f"{count}.jpg"].startswith("the median depth is 0.003 m, usually 2.")
    assert f"the median depth of {count}.jpg is 0.003 m, but 2." in doubt.what
    assert f"in {count} other labels (median). Check the unit of this file." in doubt.what
    assert not odd(rooms(count)).doubts("depth")


def test_labels_imported_before_are_others_too() -> None:
    assert not odd([depth(0.003), depth(2.5)]).doubts("depth")
    (doubt,) = odd([depth(0.003), depth(2.5)], earlier=rooms(8)).doubts("depth")
    assert list(doubt.notes) == ["0.jpg"]


def test_where_few_are_usual_or_depths_differ_widely_there_is_no_doubt() -> None:
    assert not odd([depth(0.003), depth(2.5), depth(2.4)]).doubts("depth")
    wide = [depth(math.exp(value)) for value in RNG.normal(1.5, 1.3, 100)]
    assert not odd(wide).doubts("depth")


def test_figures_that_are_no_ratios_say_nothing_of_a_unit() -> None:
    figures = [heights(wall=0.5)] * 9 + [heights(wall=0.0)]
    assert not odd(figures).doubts("depth")


def test_a_label_with_two_classes_exchanged_is_remarked_and_one_odd_thing_is_not() -> None:
    usual = [
        heights(wall=0.62 + 0.01 * (number % 3), floor=0.15 + 0.01 * (number % 4))
        for number in range(12)
    ]
    swapped = heights(wall=0.15, floor=0.72)
    (line,) = odd([*usual, swapped], "semseg").remarks()
    assert line == (
        "semseg: 12.jpg is unlike the other labels: the height of floor is 0.72 (usually 0.17) and "
        "the height of wall is 0.15 (usually 0.63)."
    )
    one_odd = heights(wall=0.62, floor=0.95)
    assert not odd([*usual, one_odd], "semseg").remarks()
    assert not odd([*usual[:6], swapped], "semseg").remarks()
    assert odd([swapped], "semseg", earlier=usual).remarks()


def test_the_oddest_labels_are_named_and_the_others_counted() -> None:
    usual = [heights(wall=0.6, floor=0.15)] * 20
    swapped = [heights(wall=0.1, floor=0.7 + 0.01 * number) for number in range(5)]
    *named, more = odd([*usual, *swapped], "semseg").remarks()
    assert [line.split()[1] for line in named] == ["24.jpg", "23.jpg", "22.jpg"]
    assert more == "semseg: 2 more labels are, too."
