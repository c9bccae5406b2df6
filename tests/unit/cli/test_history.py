"""Laws of the commands that look into the ledger: what they print, as text, JSON and CSV."""

import csv
from pathlib import Path

import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.cli import history
from labelgrid.ledger.grid import Cell
from tests.campaigns import ask, make_project
from tests.commands import run, values
from tests.support import Made


@pytest.fixture
def flat(data: Made, tmp_path: Path) -> Path:
    """Three images of two tasks; a query asked for one label."""
    with make_project(tmp_path / "flat", data) as project:
        ask(project, [Cell("0001.jpg", "depth")], number=1)
    return tmp_path / "flat"


def test_cells_are_a_table_a_list_and_a_file_of_the_same_rows(flat: Path, tmp_path: Path) -> None:
    rows = values("cells", flat)
    assert [row["state"] for row in rows] == ["missing"] * 3 + ["requested"] + ["missing"] * 2
    assert run("cells", flat, "--csv", tmp_path / "all.csv") == f"Wrote {tmp_path / 'all.csv'}\n"
    with (tmp_path / "all.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [list(row) for row in written] == [list(row) for row in rows]
    assert [row["image"] for row in written] == [row["image"] for row in rows]
    shown = run("cells", flat, "--state", "requested", "--round", 1, "--split", "train")
    assert "0001.jpg" in shown and "0000.jpg" not in shown
    with pytest.raises(UsageError, match="exclude each other"):
        run("cells", flat, "--csv", tmp_path / "both.csv", "--json")
    assert not (tmp_path / "both.csv").exists()


def test_no_cell_is_said_kindly_and_an_empty_list(flat: Path, tmp_path: Path) -> None:
    assert run("cells", flat, "--state", "skipped") == (
        f"There is no such cell. `labelgrid status {flat}` counts all by state.\n"
    )
    assert values("cells", flat, "--state", "skipped") == []
    run("cells", flat, "--state", "skipped", "--csv", tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text().count("\n") == 1


def test_a_terminal_shows_the_first_cells_and_how_many_more_there_are(
    flat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SHOWN", 4)
    shown = run("cells", flat)
    assert shown.count(".jpg") == 4
    assert shown.endswith("And 2 cells more: `--csv cells.csv` writes all.\n")


def test_the_log_shows_operations_and_the_history_of_a_cell(flat: Path) -> None:
    run("skip", flat, "0001:depth", "--why", "too dark")
    shown = run("log", flat)
    assert shown.index("1 requested → skipped") < shown.index("1 missing → requested")
    assert [row["command"] for row in values("log", flat, "--last", 1)] == ["skip"]
    of_cell = run("log", flat, "0001.jpg:depth")
    assert of_cell.index("requested") < of_cell.index("too dark")
    assert [row["after"] for row in values("log", flat, "0001:depth")] == ["requested", "skipped"]
    assert values("log", flat, "0000:depth") == []
    assert run("log", flat, "0000:depth") == "Nothing has happened yet.\n"
