"""Runs commands in this process, as the command line does."""

import json
from typing import Any

from typer.testing import CliRunner

from labelgrid.basics.errors import LabelgridError
from labelgrid.cli import app


def run(*words: object) -> str:
    """What a command prints; its error is raised."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, LabelgridError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def values(*words: object) -> Any:
    """What it prints with `--json`."""
    return json.loads(run(*words, "--json"))
