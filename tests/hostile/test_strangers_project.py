"""A project folder from a stranger: every command works on data alone, or refuses with a sentence."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from labelgrid import cli
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.trusted_code import VARIABLE
from labelgrid.cli import main
from tests.databases import change

COMMANDS = [
    *(
        "status",
        "export",
        "fit",
        "score",
        "query --budget 2",
        "evaluate",
        "report",
        "cancel --round 1",
    ),
    *(
        "export --labels --out {out}",
        "import {flat}/../images",
        "predict {flat}/../images --out {out}",
    ),
    *(
        "add --images {flat}/../images",
        "query --budget 2 --strategy os:system",
        "export --to os:system --out {out}",
    ),
    "import {flat}/../images --format os:system",
]
SETTINGS = {
    "oracle": '[oracle]\ndata = "os:system"\nroot = "touch {ran}"',
    "own oracle": '[oracle]\ndata = "stranger:build"\nroot = "{ran}"',
    "strategy": '[strategy]\nname = "stranger:build"',
    "recipe": 'recipe = "stranger.toml"',
    "network": '[changes.network]\nname = "stranger:build"',
    "term": '[changes.terms."stranger:build"]\nrate = 1',
    "statistic": '[changes.score."stranger:build"]\nrate = 1',
    "balancer": '[changes.balance]\nname = "stranger:build"',
    "backbone": '[changes.backbone]\nname = "hf-hub:nobody/nothing"',
    "group": 'group = "("',
}
LEDGER = {
    "kind": "UPDATE tasks SET kind = 'stranger:build'",
    "task name": "UPDATE tasks SET name = '../../out'",
    "image name": "UPDATE images SET name = '../../' || name",
    "label path": "UPDATE cells SET path = '../../secret.png', state = 2",
    "states": "UPDATE cells SET round = '../../x'",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The folder of the project and of its images: their ledger has its path."""
    return tmp_path_factory.mktemp("stranger") / "place"


@pytest.fixture(scope="module")
def kept(place) -> Path:
    """A copy of that folder, made once."""
    (place / "images").mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (32, 24), (number, 90, 30)).save(place / "images" / f"{number}.png")
    folder = place / "a" / "b" / "flat"
    folder.parent.mkdir(parents=True)
    run("init", folder, "--images", place / "images", "--task", "depth", "--holdout", "1")
    run("query", folder, "--budget", "1")
    (folder / "stranger.toml").write_text('[network]\nname = "stranger:build"\n')
    (place / "stranger.py").write_text(
        f"open({str(place / 'ran')!r}, 'w')\n\n\ndef build(*a): ...\n"
    )
    return place.rename(place.with_name("kept"))


@pytest.fixture
def flat(place, kept, monkeypatch) -> Iterator[Path]:
    """A project with an open request, beside a module `stranger` that leaves the file `ran` when it is imported."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    shutil.copytree(kept, place)
    yield place / "a" / "b" / "flat"
    shutil.rmtree(place)


def run(*words):
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    assert done.exception is None, done.exception
    return done


def every_command(flat, monkeypatch):
    out, outside = flat.parent / "out", set(flat.parents[2].rglob("*"))
    for line in COMMANDS:
        name, _, rest = line.partition(" ")
        words = [name, str(flat), *rest.format(flat=flat, out=out).split()]
        done = CliRunner().invoke(cli.app, words)
        known = (LabelgridError, SystemExit, OSError)
        assert done.exception is None or isinstance(done.exception, known), (line, done.exception)
    made = {
        path
        for path in set(flat.parents[2].rglob("*")) - outside
        if not path.is_relative_to(flat.parent)
    }
    assert not {path.name for path in made} - {"__pycache__"}, made
    assert not (flat.parents[2] / "ran").exists()


@pytest.mark.parametrize("text", SETTINGS.values(), ids=SETTINGS)
def test_settings_run_nothing(flat, text, monkeypatch):
    (flat / "labelgrid.toml").write_text(text.format(ran=flat.parents[2] / "ran") + "\n")
    every_command(flat, monkeypatch)


@pytest.mark.parametrize("statement", LEDGER.values(), ids=LEDGER)
def test_the_ledger_runs_nothing_and_leads_nowhere(flat, statement, monkeypatch):
    change(flat / "labelgrid.db", statement)
    every_command(flat, monkeypatch)


def test_the_refusal_names_the_code_and_how_to_trust_it(flat, monkeypatch, capsys):
    (flat / "labelgrid.toml").write_text(SETTINGS["strategy"])
    monkeypatch.setattr("sys.argv", ["labelgrid", "query", str(flat), "--budget", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert (
        "'stranger:build' is code from outside labelgrid" in error and "`--trust stranger`" in error
    )
