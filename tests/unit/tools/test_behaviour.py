"""The recorder of behaviour tells what differs, and leaves out what differs in each run."""

from tools.behaviour import CAMPAIGN, HALVES, changes, differing, steady


def test_times_and_machines_are_left_out_and_all_else_is_kept() -> None:
    value = {"at": "2026", "fit": [{"seconds": 3.2, "loss": 0.5}], "wall_seconds": 1, "heat": 2}
    assert steady(value) == {"fit": [{"loss": 0.5}], "heat": 2}


def test_what_differs_is_named_with_its_place() -> None:
    before = {"a": {"x": [1, 2]}, "b": 1, "c": 1}
    after = {"a": {"x": [1, 3]}, "c": 1, "d": 1}
    assert list(differing(before, after)) == [
        "a: .x[1] 2 -> 3",
        "b: is not there any more",
        "d: was not there before",
    ]
    assert changes({"x": [1]}, {"x": [1, 2]}, "") == [".x [1] -> [1, 2]"]


def test_what_is_killed_begins_before_a_command_of_the_campaign() -> None:
    assert all(begins < len(CAMPAIGN) for begins, _ in HALVES.values())
