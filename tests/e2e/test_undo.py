"""An undone command leaves a project in which the same command does the same again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.databases import content
from tests.e2e.commands import done, fixed, refused, state, status
from tests.e2e.killing import command, ended
from tests.support import Made


def picks(flat: Path, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        (flat / "rounds" / f"{number:04d}" / "picks.json").read_text()
    )
    return found


def spent_and_states(flat: Path) -> tuple[object, ...]:
    """The cells with all they hold, what was spent, the notes but those of undoing, the rounds."""
    tables = content(flat / "labelgrid.db")
    assert isinstance(tables, dict)
    notes = [row for row in tables["notes"] if not str(row).startswith("('before/")]
    return tables["cells"], status(flat)["spent"], notes, tables["rounds"]


def undo(flat: Path, *words: object) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(done("undo", flat, "--json", *words).out)
    return values


def verified(flat: Path) -> bool:
    return not json.loads(done("verify", flat, "--json").out)["faults"]


def test_an_import_is_undone_and_imported_again(project: Callable[[str], Path]) -> None:
    flat = project("asked")
    before = spent_and_states(flat)
    done("import", flat, flat / "rounds/0001/request")
    labelled = spent_and_states(flat)
    done("fit", flat)
    said = done("undo", flat).out
    assert said.startswith("Undid import (operation ") and "9 cells are as before" in said
    assert "Models keep what they learned" in said
    assert spent_and_states(flat)[:3] == before[:3] and verified(flat)
    again = json.loads(done("import", flat, flat / "rounds/0001/request", "--json").out)
    assert sum(tally["new"] for tally in again["tasks"].values()) == 9
    assert spent_and_states(flat)[:3] == labelled[:3] and verified(flat)
    commands = [row["command"] for row in json.loads(done("log", flat, "--json").out)]
    assert commands[:3] == ["import", "undo 3", "import"]


def test_a_query_without_a_model_is_undone_and_picks_the_same_again(
    project: Callable[[str], Path],
) -> None:
    flat = project("new")
    query = ("query", flat, "--budget", 25, "--unit", "cost", "--control", "20%")
    before = spent_and_states(flat)
    done(*query)
    first, after = picks(flat, 1), spent_and_states(flat)
    assert undo(flat)["round"] == 1
    assert spent_and_states(flat) == before and not (flat / "rounds/0001/picks.json").exists()
    done(*query)
    assert (picks(flat, 1), spent_and_states(flat)) == (first, after)
    done("query", flat, "--budget", 7, "--unit", "cost", "--new")
    second = picks(flat, 2)
    undo(flat)
    assert spent_and_states(flat) == after
    undo(flat)
    assert spent_and_states(flat) == before
    done(*query)
    done("query", flat, "--budget", 7, "--unit", "cost", "--new")
    assert (picks(flat, 1), picks(flat, 2)) == (first, second) and verified(flat)


def test_a_query_with_a_model_is_undone_and_picks_the_same_by_the_same_scores(
    project: Callable[[str], Path],
) -> None:
    flat = project("fitted")
    before = spent_and_states(flat)
    done("query", flat, "--budget", 5)
    scores = flat / "rounds/0002/scores/scores.parquet"
    first, after = picks(flat, 2), spent_and_states(flat)
    computed, calibration = scores.stat().st_mtime_ns, fixed(flat, "partal")
    assert undo(flat)["round"] == 2
    assert spent_and_states(flat) == before
    assert not [
        name for name in ("prelabels", "pictures") if (flat / "rounds/0002" / name).exists()
    ]
    done("query", flat, "--budget", 5)
    assert (picks(flat, 2), spent_and_states(flat)) == (first, after)
    assert (scores.stat().st_mtime_ns, fixed(flat, "partal")) == (computed, calibration)
    assert (flat / "rounds/0002/prelabels").is_dir()


def test_a_query_that_a_training_followed_is_not_undone(project: Callable[[str], Path]) -> None:
    flat = project("fitted")
    done("query", flat, "--budget", 5)
    done("fit", flat)
    said = refused(flat, "undo", flat)
    assert said.startswith("Round 3 was begun since round 2 was closed")
    assert "labelgrid cancel DIR --round 2" in said and "Nothing was changed." in said
    done("cancel", flat, "--round", 2)
    assert undo(flat)["operation"]["command"] == "cancel"


def test_what_cannot_be_undone_is_named_with_the_way_out(project: Callable[[str], Path]) -> None:
    flat = project("new")
    said = refused(flat, "undo", flat)
    assert said.startswith("The last operation is 'init'") and "cannot be undone" in said
    done("task", flat, "depth", "--drop")
    assert "labelgrid task --restore" in refused(flat, "undo", flat)


def test_a_killed_undo_happened_or_did_not(
    project: Callable[[str], Path], data: Made, tmp_path: Path
) -> None:
    flat = project("asked")
    before = state(flat)
    moments = command("undo", shutil.copytree(flat, tmp_path / "whole"))
    after = content(tmp_path / "whole/labelgrid.db")
    assert "commit" in moments
    for moment in range(1, len(moments) + 1):
        copy = shutil.copytree(flat, tmp_path / f"killed{moment}")
        assert ended("undo", copy, die=moment).code is None
        assert content(copy / "labelgrid.db") in (before[1]["labelgrid.db"], after)
        assert verified(copy)
        if content(copy / "labelgrid.db") != after:
            done("undo", copy)
        done("query", copy, "--budget", 9)
        assert picks(copy, 1) == picks(flat, 1)
