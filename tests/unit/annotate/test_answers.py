"""Laws of a refused import's table and of hints at names."""

from dataclasses import fields
from pathlib import Path

import pytest

from labelgrid.annotate.answers import (
    SHOWN,
    Answer,
    Answers,
    Fault,
    ImportRefused,
    Skip,
    join_answers,
    put_below,
    put_in_file,
    spelling_hint,
)
from labelgrid.ledger.grid import Cell

CELL = Cell("a.jpg", "depth")


def test_one_fault_of_many_files_is_said_once_with_the_first_names() -> None:
    rows = [
        Fault(
            f"depth/{i:03d}.png",
            f"The label of '{i:03d}' is {i}x{i + 1}, in {i} parts (labels/{i}.png).",
            "Export it.",
            Cell(f"{i:03d}.jpg", "depth"),
        )
        for i in range(120)
    ]
    other = Fault("z.png", "It is empty.")
    refused = ImportRefused([*rows, other], "answers", Path("flat/import-faults.txt"))
    assert len(refused.rows) == len(refused.as_json()["faults"]) == 121
    assert str(refused).splitlines() == [
        "The import has 121 faults (answers).",
        "  120 files: the same fault. The label of '000' is 0x1, in 0 parts (labels/0.png). "
        "Export it.",
        "    depth/000.png, depth/001.png, depth/002.png, and 117 more; all are in "
        "flat/import-faults.txt.",
        "  z.png: It is empty.",
        "  Fix them and run the same command again. Nothing was imported.",
    ]


def test_one_fault_of_a_dozen_files_is_said_once_with_all_their_names() -> None:
    names = [f"{i:02d}.png" for i in range(12)]
    refused = ImportRefused([Fault(name, f"It is {i}x1.") for i, name in enumerate(names)], "a")
    assert str(refused).splitlines() == [
        "The import has 12 faults (a).",
        "  12 files: the same fault. It is 0x1.",
        f"    {', '.join(names)}.",
        "  Fix them and run the same command again. Nothing was imported.",
    ]


def test_three_faults_of_a_kind_are_listed_one_by_one() -> None:
    rows = [Fault(f"{i}.png", f"It is {i}x1.") for i in range(3)]
    assert str(ImportRefused(rows, "a")).splitlines()[1:4] == [f"  {row}" for row in rows]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Its classes 4 and 7 are unknown.", "Its classes 4, 5, 7 and 40 are unknown."),
        ("It holds 9 (2 pixels).", "It holds 3 (1 pixel), 9 (2 pixels)."),
        ("Did you mean 'a b'?", "Did you mean 'c'?"),
        ("[a.jpg, depth] or [b.jpg, depth]", "[c.jpg, depth] or [d.jpg, depth]"),
    ],
)
def test_faults_are_the_same_up_to_numbers_and_names(one: str, other: str) -> None:
    assert Fault("x", one).kind == Fault("y", other).kind
    assert Fault("x", one).kind != Fault("x", one, "Fix it.").kind


def test_a_refusal_shows_twenty_kinds_of_faults_and_counts_the_rest() -> None:
    rows = [
        Fault(
            f"depth/{i:02d}.png", f"It is {'e' * i}.", "Export it.", Cell(f"{i:02d}.jpg", "depth")
        )
        for i in range(23)
    ]
    refused = ImportRefused(reversed(rows), "answers")
    assert list(refused.rows) == rows
    lines = str(refused).splitlines()
    assert lines[0] == "The import has 23 faults (answers)."
    assert lines[1] == "  depth/00.png [00.jpg, depth]: It is . Export it."
    assert len(lines) == 1 + SHOWN + 2
    assert lines[-2:] == [
        "  … and 3 more.",
        "  Fix them and run the same command again. Nothing was imported.",
    ]


def test_the_nearest_of_very_many_names_is_found_among_its_neighbours() -> None:
    names = sorted([*(f"room/{i:06d}.jpg" for i in range(100_000)), "kitchen/table_0004.jpg"])
    assert spelling_hint("kitchen/tabel_0004", names) == "Did you mean 'kitchen/table_0004.jpg'?"


def test_no_hint_is_given_where_nothing_is_near() -> None:
    assert spelling_hint("xyz", ["depth", "normals"]) == ""


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
