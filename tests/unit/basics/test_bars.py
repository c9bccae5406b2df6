"""Long work shows its steps to whoever calls from Python, until the call ends."""

import io
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from labelgrid.basics.bars import (
    PROGRESS,
    CallerBars,
    NotebookBars,
    TerminalBars,
    caller_progress,
    in_notebook,
)
from labelgrid.basics.progress import Silent

COVERS = ["labelgrid.basics.progress"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Cell:
    """The output of a notebook's cell: what is displayed, as it is now."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.metadata: list[Any] = []

    def display(self, what: Any, *, display_id: bool, metadata: object) -> "Cell":
        assert display_id
        self.shown.append(what._repr_html_())
        self.metadata.append(metadata)
        return self

    def update(self, what: Any, *, metadata: object) -> None:
        self.shown[-1] = what._repr_html_()
        self.metadata.append(metadata)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """The output of a cell of a notebook that calls."""
    found = Cell()
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=True)  # type: ignore[attr-defined]
    shown = ModuleType("IPython.display")
    shown.display = found.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return found


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test changes."""
    found = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: found[0])
    return found


def test_a_script_without_a_terminal_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(caller_progress(), Silent) and not in_notebook()
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(caller_progress(), Silent)


def test_a_terminal_shows_a_bar_until_the_call_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setenv("TERM", "xterm")
    progress = caller_progress()
    assert isinstance(progress, CallerBars)
    progress.end_call()
    assert seen.getvalue() == ""
    progress.start("Reading [a]\x07", 4, "files")
    progress.advance(3, "b[1]")
    assert isinstance(progress.bars, TerminalBars) and progress.bars.bars.live.is_started
    progress.say("[red] is no markup")
    shown = progress.bars.bars
    progress.end_call()
    text = seen.getvalue()
    assert not shown.live.is_started and progress.bars is None
    assert "Reading [a]" in text and "3/4" in text and "[red] is no markup" in text
    assert "\x07" not in text
    progress.advance()  # without a step, nothing


def test_what_is_said_before_a_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    CallerBars().say("No model yet.")
    assert "No model yet." in seen.getvalue()


def test_bars_of_a_console_say_the_rate() -> None:
    seen = io.StringIO()
    shown = TerminalBars(Console(file=seen, force_terminal=True, width=120, color_system=None))
    shown.start("Training", 10, "images")
    shown.advance(5, "epoch 1")
    shown.start("Measuring", 10, "images")
    shown.end()
    shown.end()
    assert "Training" in seen.getvalue() and "Measuring" in seen.getvalue()


def test_a_notebook_shows_the_step_in_one_place_and_keeps_the_long_ones(
    cell: Cell, now: list[float]
) -> None:
    progress = caller_progress()
    assert isinstance(progress, CallerBars)
    progress.start("Reading", 4, "files")
    now[0] += 0.1
    progress.advance()
    assert "Reading 0/4 files" in cell.shown[0]  # drawn a moment ago
    progress.start("Training <b>", 100, "images")
    now[0] += 2
    progress.advance(50, "epoch 1/2")
    assert len(cell.shown) == 1 and '<progress value="50" max="100">' in cell.shown[0]
    assert "Training &lt;b&gt; 50/100 images, 25.0 images/s, ETA 2 s epoch 1/2" in cell.shown[0]
    assert "Reading" not in cell.shown[0]
    progress.say("Half <way>.")
    assert "Half &lt;way&gt;.<br><progress" in cell.shown[0]
    progress.end_call()
    assert "Half &lt;way&gt;." in cell.shown[0] and len(cell.shown) == 1
    assert "<progress" not in cell.shown[0]
    assert "Training &lt;b&gt; 50/100 images epoch 1/2, 2 s" in cell.shown[0]
    assert cell.metadata and all(each == PROGRESS for each in cell.metadata)


def test_the_steps_of_the_next_call_are_in_the_next_place(cell: Cell, now: list[float]) -> None:
    progress = CallerBars()
    for what in ("first", "second"):
        progress.start(what, 1, "steps")
        now[0] += 5
        progress.end_call()
    assert ["first" in cell.shown[0], "second" in cell.shown[1]] == [True, True]
    assert repr(NotebookBars()) == ""
