import time
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main

from labelgrid import cli
from labelgrid.recipes.resolve import load_recipe
from tests.studies import shipped_study
from tools import demo, watched

APP: Any = typer.main.get_command(cli.app)


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """The commands that would be run, on a clock of their own.

    `codes` are exit statuses to end with, `seconds` what a command takes.
    """
    found = SimpleNamespace(words=[], limits=[], codes={}, seconds={}, now=0.0)

    def run(words, limit=None):
        name = words[1] if words[0] == "-m" else words[0]
        name = words[2] if name == "labelgrid" else name
        found.words.append(tuple(words[words.index(name) :]))
        found.limits.append(limit)
        found.now += found.seconds.get(name, 1.0)
        if name == "scenes":
            (tmp_path / demo.ROOMS).mkdir(parents=True)
            (tmp_path / demo.ROOMS / "tasks.toml").write_text('[semseg]\nclasses = ["wall"]\n')
        if limit is not None and found.seconds.get(name, 1.0) > limit:
            return watched.STOPPED
        return found.codes.get(name, 0)

    monkeypatch.setattr(watched, "run", run)
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    monkeypatch.setattr(demo, "print_verdict", lambda: None)
    return found


def names(ran):
    return [words[0] for words in ran.words]


def seeds(ran):
    return [words[words.index("--seeds") + 1] for words in ran.words if "--seeds" in words]


def test_every_command_is_one_that_labelgrid_knows(ran, capsys):
    assert demo.main([]) == 0
    for name, *words in ran.words:
        if name in APP.commands:
            known = {option for option in APP.commands[name].params for option in option.opts}
            assert {word for word in words if word.startswith("--")} <= known
    said = capsys.readouterr().out
    assert f"Open this page: {demo.CAMPAIGN}/report.html" in said
    assert f"labelgrid serve {demo.CAMPAIGN}" in said


def test_a_fast_machine_compares_with_all_seeds(ran):
    assert demo.main([]) == 0
    assert seeds(ran) == ["1", str(demo.SEEDS)]
    assert "--epochs" not in ran.words[1]


def test_a_slow_machine_has_fewer_seeds_and_says_so(ran, capsys):
    ran.seconds = {"scenes": 40.0, "examples/related_campaign.py": 100.0, "simulate": 40.0}
    assert demo.main([]) == 0
    assert seeds(ran) == ["1", "2"]
    said = capsys.readouterr().out
    assert "One seed took 40 s, so there is time for 2 of 6." in said
    assert "This machine is busy" in said
    assert "--epochs" in ran.words[1]


@pytest.mark.parametrize("took", [60.0, 130.0, 1000.0])
def test_no_comparison_may_take_more_than_the_time_that_is_left(ran, took):
    ran.seconds = {"examples/related_campaign.py": took, "simulate": 90.0}
    assert demo.main([]) == 0
    for words, limit in zip(ran.words, ran.limits, strict=True):
        if words[0] == "simulate":
            assert limit is not None and limit <= demo.SECONDS - demo.LAST - took


def test_without_time_for_one_seed_the_campaign_is_shown_alone(ran, capsys):
    ran.seconds = {"examples/related_campaign.py": 200.0, "simulate": 300.0}
    assert demo.main([]) == 0
    said = capsys.readouterr().out
    assert f"Open this page: {demo.CAMPAIGN}/report.html" in said
    assert demo.COMPARED not in said
    assert "report" not in names(ran)


@pytest.mark.parametrize("failing", ["scenes", "examples/related_campaign.py", "simulate"])
def test_a_command_that_fails_is_the_last(ran, capsys, failing):
    ran.codes[failing] = 3
    assert demo.main([]) == 3
    assert names(ran)[-1] == failing
    assert "Open this page" not in capsys.readouterr().out


def test_a_second_call_begins_anew(ran, tmp_path):
    assert demo.main([]) == 0
    (tmp_path / demo.OUT / "old").touch()
    assert demo.main([]) == 0
    assert not (tmp_path / demo.OUT / "old").exists()


def test_photographs_that_are_not_there_are_said_before_any_work(ran, capsys):
    assert demo.main(["--photographs"]) == 1
    assert "no frames of NYUv2" in capsys.readouterr().out
    assert not ran.words


def test_the_recipe_has_the_tasks_of_the_campaign_and_needs_no_weights():
    assert [row.name for row in shipped_study("demo").rows()] == [
        "semseg",
        "edges",
        "depth",
        "normals",
    ]
    assert not load_recipe("demo").backbone.pretrained  # weights cannot be had everywhere
