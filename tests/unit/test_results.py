"""Results and the multi-task summary."""

import pytest

from labelgrid.progress import Silent
from labelgrid.results import Result, delta_mtl

COVERS = ["labelgrid.progress", "labelgrid.__main__"]


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
