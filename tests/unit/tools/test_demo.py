import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main

from labelgrid import cli
from labelgrid.recipes.resolve import load_recipe
from labelgrid.scenes.maps import TASKS
from tests.studies import shipped_study
from tools import demo

APP: Any = typer.main.get_command(cli.app)


@pytest.fixture
def ran(monkeypatch):
    """Commands that would be run, and the exit statuses to end with."""
    found = SimpleNamespace(words=[], codes={})

    def run(command, **_):
        found.words.append(command[3:])
        return SimpleNamespace(returncode=found.codes.get(command[3], 0))

    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_every_command_is_one_that_labelgrid_knows(ran, capsys):
    assert demo.main() == 0
    for name, *words in ran.words:
        parser = APP.commands[name]
        known = {option for parameter in parser.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
    assert str(demo.OUT / "report.html") in capsys.readouterr().out


def test_a_command_that_fails_is_the_last(ran, capsys):
    ran.codes["simulate"] = 3
    assert demo.main() == 3
    assert [words[0] for words in ran.words] == ["scenes", "simulate"]
    assert "report.html. Open" not in capsys.readouterr().out


def test_the_recipes_name_the_tasks_that_scenes_have():
    assert shipped_study("scenes-small").rows() == list(TASKS)
    assert shipped_study("demo").rows() == [
        row for row in TASKS if row.name in shipped_study("demo").only
    ]
    assert not load_recipe("demo").backbone.pretrained  # weights cannot be had everywhere
