"""Laws of the verdict: by the loss alone, over pairs of seeds; tasks are corrected for their number."""

import math

import numpy as np
import pytest

from labelgrid.advice.control_verdict import (
    Measured,
    MeasureRow,
    answer_of,
    compare_measures,
    sentence,
    table_rows,
)
from labelgrid.basics.comparison import sign_flip_p
from labelgrid.basics.results import LOSS, Result

BASE = [2.0, 2.5, 1.5, 3.0, 2.2, 1.8]


def losses(shifts: list[float], **metrics: list[float]) -> Measured:
    """What six seeds measure: a loss, and the mIoU of tasks."""
    seeds = []
    for index, shift in enumerate(shifts):
        values = {LOSS: Result(LOSS, BASE[index] + shift, "", "lower")}
        for task, shares in metrics.items():
            values[task] = Result("mIoU", shares[index], "", "higher")
        seeds.append(values)
    return seeds


def loss_of(shifts: list[float]) -> MeasureRow:
    return compare_measures(losses(shifts), losses([0.0] * 6))[0]


def test_a_loss_that_is_lower_in_six_of_six_seeds_pays_and_one_that_is_higher_costs() -> None:
    shifts = [0.1, 0.2, 0.3, 0.15, 0.25, 0.2]
    assert answer_of(loss_of(shifts)) == "cost"
    pay = loss_of([-shift for shift in shifts])
    assert answer_of(pay) == "pay"
    text = sentence(pay)
    assert text.startswith("The picks pay: loss_mtl is 1.967 with them and 2.167 with as many ")
    assert "random labels, −0.2 (95 % interval −0.2" in text
    assert text.endswith("p = 0.03125, 6 seeds).")


def test_one_seed_that_says_otherwise_leaves_it_open() -> None:
    row = loss_of([-0.1, -0.2, -0.3, 0.15, -0.25, -0.2])
    assert answer_of(row) == "cannot tell" and sentence(row).startswith("Cannot tell: loss_mtl is")
    assert row.compared and row.compared.p == sign_flip_p(np.subtract(row.picks, row.control))


def test_equal_losses_cannot_tell() -> None:
    assert answer_of(loss_of([0.0] * 6)) == "cannot tell"


def test_the_tasks_are_corrected_for_their_number_and_the_loss_is_not() -> None:
    lower = [-0.1] * 6
    better = {"semseg": [0.5] * 6, "parts": [0.5] * 6}
    worse = {"semseg": [0.3] * 6, "parts": [0.3] * 6}
    loss, *tasks = compare_measures(losses(lower, **better), losses([0.0] * 6, **worse))
    assert loss.compared and loss.compared.holm == loss.compared.p == 0.03125
    assert answer_of(loss) == "pay"
    for row in tasks:
        assert row.compared and row.compared.p == 0.03125 and row.compared.holm == 0.0625
        assert row.compared.verdict == "cannot tell"
    (_, alone) = compare_measures(
        losses(lower, semseg=[0.5] * 6), losses([0.0] * 6, semseg=[0.3] * 6)
    )
    assert alone.compared and alone.compared.verdict == "better"  # a higher mIoU


@pytest.mark.parametrize("side", [0, 1])
def test_a_metric_that_is_no_number_in_one_training_is_shown_as_such(side: int) -> None:
    sides = [list(losses([-0.1] * 6, semseg=[0.5] * 6)), list(losses([0.0] * 6, semseg=[0.3] * 6))]
    sides[side][2] = {}
    rows = compare_measures(*sides)
    assert answer_of(rows[0]) == "cannot tell" and "is no number" in sentence(rows[0])
    assert math.isnan([rows[0].picks, rows[0].control][side][2])
    assert [row[3:] for row in table_rows(rows)] == [["–"] * 3] * 2


def test_the_table_has_a_row_for_the_loss_and_each_task_with_its_metric() -> None:
    picks = losses([-0.1] * 6, semseg=[0.5] * 6)
    control = losses([0.0] * 6, semseg=[0.3] * 6)
    rows = table_rows(compare_measures(picks, control))
    assert rows[0] == ["loss_mtl", "2.067", "2.167", "−0.1", "−0.1 to −0.1", "0.03125"]
    assert rows[1] == ["semseg mIoU", "0.5", "0.3", "+0.2", "+0.2 to +0.2", "0.03125"]
