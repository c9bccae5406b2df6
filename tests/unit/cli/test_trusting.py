"""Every command that may run a plug-in takes --trust; nothing else about it changes."""

import inspect

import pytest

from labelgrid import cli
from labelgrid.basics.errors import UsageError
from labelgrid.basics.trusted_code import VARIABLE, is_trusted
from labelgrid.cli import datasets, grid, lab


def test_every_command_but_two_takes_it():
    without = {
        info.callback.__name__
        for info in (*cli.app.registered_commands, *datasets.data.registered_commands)
        if "trust" not in inspect.signature(info.callback).parameters
    }
    assert without == {lab.scenes.__name__, "list_"}


def test_the_options_of_the_command_are_its_own_and_trust_is_the_last():
    assert list(inspect.signature(grid.status).parameters) == ["folder", "json", "trust"]


def test_a_command_runs_with_the_trust_of_its_option(monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.setenv(VARIABLE, "")
    done = CliRunner().invoke(
        cli.app, ["status", "nowhere", "--trust", "mine", "--trust", "yours.too"]
    )
    assert done.exit_code == 1 and is_trusted("mine.a") and is_trusted("yours.too")
    refused = CliRunner().invoke(cli.app, ["status", "nowhere", "--trust", "os"])
    assert isinstance(refused.exception, UsageError)
    with pytest.raises(UsageError):
        raise refused.exception
