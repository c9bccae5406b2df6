"""The laboratory can be left out: projects need none of it, and its commands say so."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs import preloaded
from tools.source import ROOT


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package without the files below `lab`, whose compiled ones git leaves."""
    folder = tmp_path_factory.mktemp("without")
    ignored = shutil.ignore_patterns("lab", "__pycache__")
    shutil.copytree(ROOT / "src/labelgrid", folder / "labelgrid", ignore=ignored)
    (folder / "labelgrid/lab/simulation/__pycache__").mkdir(parents=True)
    return folder


#: The page of studies alone begins with the laboratory: it is loaded for a study.
LOAD = """
import importlib, pkgutil
import labelgrid
others = ("labelgrid.lab", "labelgrid.web.study_pages", "labelgrid.ledger.migrations.", "labelgrid.__main__")
for module in pkgutil.walk_packages(labelgrid.__path__, "labelgrid."):
    if not module.name.startswith(others):
        importlib.import_module(module.name)
"""
HELP = """
from labelgrid.cli import app
names = {command.name or command.callback.__name__ for command in app.registered_commands}
for name in sorted(names):
    print(name, app([name, "--help"], prog_name="labelgrid", standalone_mode=False))
"""


def python(package: Path, *words: object) -> tuple[int, str]:
    """Run a Python that has loaded the libraries with the copy; its exit status, and what it printed."""
    ran = subprocess.run(
        [str(preloaded.folder() / "python"), *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(package), preloaded.LOADS_LABELGRID: "yes"},
        cwd=package,
        capture_output=True,
        text=True,
    )
    return ran.returncode, ran.stdout + ran.stderr


def run(package: Path, *words: object) -> tuple[int, str]:
    """Run a command of the copy; its exit status, and what it printed."""
    return python(package, "-m", "labelgrid", *words)


def test_every_other_module_can_be_loaded(package: Path) -> None:
    code, said = python(package, "-c", LOAD)
    assert code == 0, said


def test_each_command_has_its_help(package: Path) -> None:
    code, said = python(package, "-c", HELP)
    assert code == 0, said
    for name in ("init", "query", "simulate", "analyse", "scenes"):
        assert f"labelgrid {name} [OPTIONS]" in said


def test_its_commands_say_that_it_is_left_out(package: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    (study / "study.json").write_text("{}")
    for words in (
        ("simulate", "demo", "--data", tmp_path, "--out", tmp_path / "out"),
        ("simulate", "demo", "--data", tmp_path, "--out", tmp_path / "out", "--dry-run"),
        ("analyse", study, "picks"),
        ("report", study),
        ("serve", study, "--port", "0"),
        ("scenes", tmp_path / "rooms"),
    ):
        code, said = run(package, *words)
        assert code == 2 and "This labelgrid has no laboratory" in said, (words, said)
        assert "Traceback" not in said and not (tmp_path / "out").exists()


def test_a_project_needs_none_of_it(package: Path, tmp_path: Path) -> None:
    from tests.support import make_dataset

    made = make_dataset(tmp_path / "made", n=3, tasks=("depth",))
    flat = tmp_path / "flat"
    for words in (
        ("init", flat, "--images", made.images, "--task", "depth", "--no-time"),
        ("query", flat, "--budget", 1, "--strategy", "random_cells"),
        ("status", flat),
        ("report", flat),
        ("list", "strategies"),
        ("list",),
    ):
        code, said = run(package, *words)
        assert code == 0, (words, said)
