"""A round takes three commands: query and export, import, fit and report."""

from pathlib import Path

import pytest

from tests.commands import run, values
from tests.projects import make_project


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A project of four images with labels to be had in `made/labels`."""
    project, _ = make_project(tmp_path, n=4, holdout=1, strategy="random_images")
    project.close()
    return project.folder


def test_a_round_takes_three_commands(flat: Path, tmp_path: Path) -> None:
    told = run("query", flat, "--budget", 6, "--export", tmp_path / "request")
    assert "requested 2 semseg" in told and "Wrote requests (3 semseg" in told
    assert f"Next: labelgrid import {flat} {tmp_path / 'request'}   (once its labels" in told
    assert (tmp_path / "request/manifest.csv").is_file()
    assert values("import", flat, tmp_path / "made/labels")["tasks"]["depth"]["new"] == 4
    done = values("fit", flat, "--epochs", 1, "--report")
    assert done["report"] == str(flat / "report.html")
    assert "Newest metrics" in (flat / "report.html").read_text()


def test_a_dry_run_exports_nothing(flat: Path, tmp_path: Path) -> None:
    found = values("query", flat, "--budget", 6, "--dry-run", "--export", tmp_path / "request")
    assert found["picks"] and "exported" not in found
    assert not (tmp_path / "request").exists()
