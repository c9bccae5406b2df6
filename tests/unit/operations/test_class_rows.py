"""Classes, the worst first, compared with the round before on the same labels alone."""

import math

from labelgrid.basics.results import ClassScore
from labelgrid.operations.class_rows import class_rows
from labelgrid.project.records import Measurement


def measured(number, scores, heldout_set="same"):
    classes = {name: ClassScore(*score) for name, score in scores.items()}
    return Measurement(
        round=number,
        model="m",
        labels={},
        spent=0.0,
        heldout_labels={},
        metrics={},
        loss_mtl=1.0,
        heldout_set=heldout_set,
        classes={"semseg": classes},
    )


FIRST = {"wall": (70.0, 60), "bag": (3.0, 10), "dress": (math.nan, 0)}
SECOND = {"wall": (75.0, 60), "bag": (1.0, 10), "dress": (0.0, 0), "hat": (math.nan, 0)}


def test_the_worst_class_is_first_and_those_never_seen_are_last():
    rows = class_rows([measured(1, FIRST), measured(2, SECOND)])["semseg"]
    assert [row.name for row in rows] == ["dress", "bag", "wall", "hat"]
    assert [row.change for row in rows] == [None, -2.0, 5.0, None]
    assert [round(row.area) for row in rows] == [0, 14, 86, 0]


def test_rounds_on_other_labels_are_not_compared():
    rows = class_rows([measured(1, FIRST, "other"), measured(2, SECOND)])["semseg"]
    assert {row.change for row in rows} == {None}


def test_without_a_measured_round_there_is_no_table():
    assert class_rows([]) == {} and class_rows([measured(1, {})]) == {"semseg": []}
