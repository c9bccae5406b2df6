"""Laws of joining answers: nothing is lost, and names say which source they are of."""

from dataclasses import fields
from pathlib import Path

from labelgrid.annotate.answers import Answer, Answers, Fault, Skip
from labelgrid.annotate.joined_answers import join_answers, put_below, put_in_file
from labelgrid.ledger.grid import Cell

CELL = Cell("a.jpg", "depth")


def everything(name: str) -> Answers:
    return Answers(
        labels=[Answer(cell=CELL, where=name, label=Path(name))],
        skips=[Skip(CELL, name, "dark")],
        faults=[Fault(name, "It is empty.")],
        foreign=1,
        empty=1,
        stray=[name],
        removed=[name],
        closed=[name],
        notes=[name],
    )


def test_all_that_answers_hold_is_joined() -> None:
    whole = join_answers([everything("a"), everything("b")])
    for each in fields(Answers):
        both = [getattr(everything(name), each.name) for name in ("a", "b")]
        assert getattr(whole, each.name) == both[0] + both[1], each.name


def test_names_of_files_are_below_their_source_and_files_stay_where_they_are() -> None:
    moved = put_below("first/", everything("a"))
    assert [one.where for one in (*moved.labels, *moved.skips, *moved.faults)] == ["first/a"] * 3
    assert moved.stray == moved.removed == moved.closed == ["first/a"]
    assert moved.labels[0].label == Path("a")


def test_names_of_lines_are_behind_that_of_their_file_once() -> None:
    moved = put_in_file("a.json", everything("task 3"))
    rows = [*moved.labels, *moved.skips, *moved.faults]
    assert {row.where for row in rows} == {"a.json task 3"}
    assert moved.removed == ["a.json task 3"]
    assert put_in_file("a.json", moved) == moved
