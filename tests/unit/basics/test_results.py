"""Results and the multi-task summary."""

import math

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.basics.results import Result, delta_mtl, verdict_on

COVERS = ["labelgrid.basics.progress", "labelgrid.__main__"]


def test_a_gain_is_positive_when_better_whatever_the_direction():
    assert Result("mIoU", 33.0, "%", "higher").gain_over(
        Result("mIoU", 30.0, "%", "higher")
    ) == pytest.approx(0.1)
    assert Result("RMSE", 1.1, "m", "lower").gain_over(
        Result("RMSE", 1.0, "m", "lower")
    ) == pytest.approx(-0.1)


def test_delta_mtl_reproduces_a_row_of_the_multi_task_survey_convention():
    single = {
        "seg": Result("mIoU", 40.0, "%", "higher"),
        "depth": Result("RMSE", 0.6, "m", "lower"),
    }
    multi = {
        "seg": Result("mIoU", 38.0, "%", "higher"),
        "depth": Result("RMSE", 0.54, "m", "lower"),
    }
    assert delta_mtl(multi, single) == pytest.approx((-0.05 + 0.10) / 2)


def test_delta_mtl_needs_a_single_task_result_for_each_task():
    with pytest.raises(ValueError, match=r"No single-task result for \['seg'\]"):
        delta_mtl({"seg": Result("mIoU", 1.0, "%", "higher")}, {})


def test_silence_is_a_progress():
    silent = Silent()
    silent.start("a", 1, "images")
    silent.advance()
    silent.say("b")


@pytest.mark.parametrize(
    ("difference", "better", "seen", "verdict"),
    [
        (0.1, "higher", True, "better"),
        (0.1, "lower", True, "worse"),
        (-0.1, "higher", True, "worse"),
        (-0.1, "lower", True, "better"),
        (0.1, "higher", False, "within noise"),
        (0.1, "higher", None, "cannot tell"),
        (math.nan, "higher", True, "cannot tell"),
    ],
)
def test_a_verdict_is_on_what_is_seen_and_in_the_direction_of_better(
    difference: float, better: str, seen: bool | None, verdict: str
) -> None:
    assert verdict_on(difference, better, seen) == verdict
