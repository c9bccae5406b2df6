"""Laws of what a new project says of a round's time: measured beside it, and harmless."""

import os
import pty
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from labelgrid.advice import first_time as module
from labelgrid.advice.first_time import FirstTime, first_time
from labelgrid.basics import files
from tests.e2e.commands import done, refused
from tests.jobs import children, wait_until
from tests.projects import RECIPE
from tests.started import Started
from tests.support import make_dataset

MORE = "labelgrid time flat"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The words of an `init` in the test's folder."""
    made = make_dataset(tmp_path / "made", n=5, size=(32, 64), tasks=("depth",))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    recipe = str(tmp_path / "tiny.toml")
    flat = str(tmp_path / "flat")
    return ["init", flat, "--images", str(made.images), "--task", "depth", "--recipe", recipe]


def test_a_round_is_measured_where_it_is_asked_for(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 300.0)  # on a busy machine
    said = " ".join(done(*words, "--time").out.split())
    assert "On this machine a round of the recipe " in said and ": it fits." in said
    assert "Next: labelgrid query" in said


def test_without_a_terminal_nothing_is_measured(words: list[str]) -> None:
    said = done(*words).out
    assert "How long a round takes here, and which recipe fits: labelgrid time" in said


def test_in_a_terminal_a_round_is_measured_unless_it_is_refused(words: list[str]) -> None:
    assert "On this machine 0.2 s are too short" in in_terminal(words)
    words[1] += "-2"
    assert "How long a round takes here" in in_terminal([*words, "--no-time"])


#: Runs a command that gives a measurement up as soon as it has begun.
IMPATIENT = """
from labelgrid.cli import main
from labelgrid.advice import first_time
first_time.LIMIT = 0.2
main()
"""


def in_terminal(words: list[str]) -> str:
    """What a command prints to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", IMPATIENT, *words]
    with Started(*command, stdout=theirs) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 1 << 16):
                text += part
        except OSError:  # the other end is closed
            process.wait()
        assert process.returncode == 0, process.last_words()
    os.close(ours)
    return " ".join(text.decode().split())


def test_ctrl_c_skips_it_and_the_project_is_whole(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labelgrid", *words, "--time"]
    with Started(*command) as process:
        wait_until(lambda: is_measuring(process.pid), by=process)
        process.signal_all(signal.SIGINT)
        said, _ = process.communicate()
        assert process.returncode == 0, process.complaints
    assert "How long a round takes here" in said, said
    assert "Next: labelgrid query" in said
    done("status", tmp_path / "flat")


def is_measuring(pid: int) -> bool:
    """Whether a process has begun to measure a round."""
    for child in children(pid):
        with suppress(OSError):  # it has ended since
            if "--own-recipe" in Path(f"/proc/{child}/cmdline").read_text():
                return True
    return False


def test_a_measurement_that_does_not_end_is_given_up(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 0.2)
    said = " ".join(done(*words, "--time").out.split())
    assert "On this machine 0.2 s are too short to measure the recipe." in said


def test_a_measurement_that_fails_is_no_fault(tmp_path: Path) -> None:
    assert first_time(tmp_path / "nowhere") == FirstTime(folder=tmp_path / "nowhere")


def test_json_has_no_time(words: list[str], tmp_path: Path) -> None:
    assert "--time is not for --json" in refused(tmp_path, *words, "--time", "--json", code=2)
    assert not (tmp_path / "flat").exists()


@pytest.mark.parametrize(
    ("seconds", "is_late", "expected"),
    [
        (40.0, False, "a round of the recipe small takes about 40 s: it fits. The others: "),
        (4000.0, False, "takes about 1 h 7 min, which is long. Which one fits: "),
        (0.0, True, "On this machine 30 s are too short to measure the recipe. Which one fits: "),
    ],
)
def test_the_time_is_a_sentence_that_names_the_next_command(
    seconds: float, is_late: bool, expected: str
) -> None:
    found = FirstTime(folder=Path("flat"), recipe="small", seconds=seconds, is_late=is_late)
    assert str(found).endswith(expected + MORE)


def test_without_networks_nothing_is_measured_and_what_installs_them_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "TRAINING", ("labelgrid_has_no_such_package",))
    monkeypatch.setattr(module.subprocess, "run", None)
    assert str(first_time(Path("flat"))).endswith(
        "fits: pip install 'labelgrid[train]', then labelgrid time flat"
    )
