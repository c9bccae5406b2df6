"""Laws of a refused import's table and of hints at names."""

from labelgrid.annotate.answers import SHOWN, Fault, ImportRefused, spelling_hint
from labelgrid.ledger.grid import Cell


def test_a_refusal_shows_twenty_rows_and_counts_the_rest() -> None:
    rows = [
        Fault(f"depth/{i:02d}.png", "It is empty.", "Export it.", Cell(f"{i:02d}.jpg", "depth"))
        for i in range(23)
    ]
    refused = ImportRefused(reversed(rows), "answers")
    assert list(refused.rows) == rows
    lines = str(refused).splitlines()
    assert lines[0] == "The import has 23 faults (answers)."
    assert lines[1] == "  depth/00.png [00.jpg, depth]: It is empty. Export it."
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
