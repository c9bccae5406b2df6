"""The command that analyses a study: its tables, and what it refuses."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labelgrid.basics.errors import PluginError, ProjectError
from labelgrid.lab.simulation.analyse import analyse
from tests.e2e.commands import done, refused, state
from tests.projects import make_project


def test_the_command_writes_tables_and_drawings_and_changes_no_study(
    study: Any, tmp_path: Path
) -> None:
    before, out = state(study.folder), tmp_path / "figures"
    shown = done("analyse", study.folder, "picks", "--out", out, "--set", "sample=3").out
    assert "Wrote 14 files in" in shown and "pixAcc" not in shown and "mIoU (%)" in shown
    with (out / "picks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("kind", "arm", "seed", "point", "round", "cells", "known", "task"),
        *("metric", "value", "unit", "better", "count"),
    ]
    values = json.loads(done("analyse", study.folder, "picks", "--set", "sample=3", "--json").out)
    assert list(values) == ["analysis", "means", "findings", "files"] and values["files"] == []
    assert [row["value"] for row in values["findings"]] == [float(row["value"]) for row in rows]
    assert all(
        row["deviation"] is None and row["seeds"] == 1 for row in values["means"]
    )  # of one seed
    assert state(study.folder) == before


def test_what_is_no_finished_study_is_refused(study: Any, tmp_path: Path) -> None:
    make_project(tmp_path, n=4)[0].close()
    assert "The folder holds a project, not a study" in refused(
        tmp_path, "analyse", tmp_path / "flat", "picks"
    )
    assert "There is no study" in refused(tmp_path, "analyse", tmp_path, "picks")
    copy = shutil.copytree(study.folder, tmp_path / "copy")
    (copy / "runs" / "cells-seed0" / "done.json").unlink()
    said = refused(tmp_path, "analyse", copy, "picks", "--out", tmp_path / "out")
    assert (
        "1 of 6 runs are not done: cells-seed0" in said
        and "Finish them with `labelgrid simulate`" in said
    )


def test_only_the_named_arms_are_analysed_and_must_be_done(study: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(study.folder, tmp_path / "copy")
    (copy / "runs" / "cells-seed0" / "done.json").unlink()
    assert "or analyse others with --strategy" in refused(tmp_path, "analyse", copy, "spread")
    rows = json.loads(
        done("analyse", copy, "spread", "--strategy", "images, uncertain", "--json").out
    )["findings"]
    assert {row["arm"] for row in rows} == {"images", "uncertain"}
    result = analyse(copy, "spread", strategies=["images"])
    assert {finding.run.name for finding in result.findings} == {"images"}
    with pytest.raises(ProjectError, match="cells-seed0"):
        analyse(copy, "spread", strategies=["images", "cells"])
    said = refused(
        tmp_path,
        "analyse",
        copy,
        "spread",
        "--strategy",
        "images,sells",
        "--out",
        tmp_path / "out",
        code=2,
    )
    assert (
        "no strategy or arm 'sells'" in said and "It has images, cells, pseudo, uncertain." in said
    )
    assert not (tmp_path / "out").exists()


def test_other_images_than_those_of_the_runs_are_refused(study: Any) -> None:
    path = study.made.root / "images" / study.made.names[0]
    before = path.read_bytes()
    Image.new("RGB", (64, 32)).save(path)
    try:
        said = refused(
            study.folder, "analyse", study.folder, "research.analyses.pseudo_labels:build"
        )
    finally:
        path.write_bytes(before)
    assert "images or splits have changed since the study's runs were started" in said


def test_a_study_without_what_is_analysed_is_refused(study: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(study.folder, tmp_path / "copy")
    for folder in copy.glob("runs/*/rounds/*/fit/terms"):
        shutil.rmtree(folder)
    with pytest.raises(ProjectError, match="No run has pseudo-labels"):
        analyse(copy, "research.analyses.pseudo_labels:build", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_analysis_and_code_of_strangers_are_refused(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError, match=r"Did you mean 'picks'\?"):
        analyse(study.folder, "pick")
    monkeypatch.setenv("LABELGRID_TRUST", "")
    with pytest.raises(PluginError, match="you have not said that you trust it"):
        analyse(study.folder, "stranger:build")


def test_nothing_is_written_into_a_run(study: Any) -> None:
    assert "is inside the study's runs" in refused(
        study.folder, "analyse", study.folder, "picks", "--out", study.folder / "runs" / "x", code=2
    )
