import sys
from pathlib import Path

from tools import wheel
from tools.wheel import COMMANDS, failures


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_command_that_fails_and_a_developers_tool_are_named(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "work").mkdir()
    program(programs / "python", "exit 0")  # imports whatever it is asked for
    program(programs / "labelgrid", '[ "$1" != status ] || { echo no ledger >&2; exit 3; }')
    assert failures(programs, tmp_path / "work") == [
        "the environment has pytest, a developers' tool",
        "`labelgrid status project --json` exits with 3: no ledger",
    ]


def test_the_commands_work_with_the_code_as_it_is(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "work").mkdir()
    code = "import sys; from labelgrid.cli import main; sys.exit(main())"
    program(programs / "python", "exit 1")
    program(programs / "labelgrid", f"exec {sys.executable} -c '{code}' \"$@\"")
    assert failures(programs, tmp_path / "work") == []
    assert (tmp_path / "work/report.html").stat().st_size > 1000
    assert len(COMMANDS) == 5


def test_the_newest_wheel_is_returned(tmp_path, monkeypatch):
    def fake(command, cwd, check):
        (Path(command[-1]) / "labelgrid-0.1.0-py3-none-any.whl").touch()

    monkeypatch.setattr(wheel.subprocess, "run", fake)
    assert wheel.build(tmp_path).name == "labelgrid-0.1.0-py3-none-any.whl"
