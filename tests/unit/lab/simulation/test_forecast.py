"""Laws of the forecast: the rate is that of the finished steps, and damaged lines of times count as none."""

from pathlib import Path

import pytest

from labelgrid.lab.simulation.forecast import (
    TIMES,
    Pace,
    record_seconds,
    recorded_seconds,
    seconds_left,
)


def pace(arm: str, seconds: float, done: float, left: float) -> Pace:
    return Pace(arm=arm, seconds=seconds, done=done, left=left)


def test_the_runs_of_an_arm_have_the_rate_of_the_arm_and_others_the_mean() -> None:
    paces = [pace("a", 30, 10, 5), pace("a", 10, 10, 0), pace("b", 20, 20, 4), pace("c", 0, 0, 6)]
    assert seconds_left(paces, 1) == pytest.approx(5 * 2 + 4 * 1 + 6 * 1.5)
    assert seconds_left(paces, 2) == pytest.approx(23 / 2)


def test_the_time_of_a_run_that_has_finished_no_step_tells_nothing() -> None:
    running = pace("a", 500, 0, 10)
    assert seconds_left([running], 1) is None
    assert seconds_left([running, pace("b", 10, 10, 0)], 1) == 10.0


def test_times_are_added_up_and_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    assert recorded_seconds(tmp_path) == 0.0
    record_seconds(tmp_path, 1.25)
    record_seconds(tmp_path, 2.5)
    with (tmp_path / TIMES).open("ab") as file:
        file.write(b"\xff\x00")
    assert recorded_seconds(tmp_path) == 3.75


def test_what_is_no_time_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / TIMES).write_text("nan\ninf\n-3\n1e999\n2.5\n")
    assert recorded_seconds(tmp_path) == 2.5
