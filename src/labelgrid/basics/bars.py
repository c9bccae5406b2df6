"""Shows the steps of long work as bars: on a terminal, and in the output of a notebook's cell."""

import sys
import time
from html import escape
from typing import TYPE_CHECKING, Any

from labelgrid.basics.errors import escape_control_characters
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.words import duration

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between two changes of a bar in a notebook.
EVERY = 0.25
#: Seconds after which a step stays in a notebook as a line.
LONG = 1.0
#: What marks progress among the outputs of a notebook.
PROGRESS = {"labelgrid": "progress"}


class TerminalBars:
    """Shows a bar for each step, below one another.

    Args:
        console: the console of the terminal.
    """

    def __init__(self, console: "Console") -> None:
        from rich import progress  # slow to load

        self.bars = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}", markup=False),
            progress.TimeElapsedColumn(),
            progress.TextColumn("ETA"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self.task: Any = None
        self.unit = ""

    def start(self, step: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.unit = unit
        self.bars.start()
        if self.task is not None:
            self.bars.stop_task(self.task)
        text = escape_control_characters(step)
        self.task = self.bars.add_task(text, total=total, rate=unit, note="")

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        if self.task is None:
            return
        self.bars.advance(self.task, amount)
        speed = self.bars.tasks[-1].finished_speed or self.bars.tasks[-1].speed
        rate = f"{speed:.1f} {self.unit}/s" if speed else self.unit
        self.bars.update(self.task, rate=rate, note=escape_control_characters(note))

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.bars.console.print(escape_control_characters(text), soft_wrap=True, markup=False)

    def end(self) -> None:
        """End the step, if there is one."""
        if self.task is not None:  # stopping without a start would print an empty line
            self.bars.stop()
        self.task = None


class NotebookBars:
    """Shows the steps of a call in the output of a notebook's cell, in one place.

    The running step is a bar. Finished steps that took long stay as lines, and so do messages.
    """

    def __init__(self) -> None:
        self.past: list[str] = []
        self.title = ""
        self.unit = ""
        self.note = ""
        self.done = 0
        self.total = 0
        self.began = 0.0
        self.drawn = 0.0
        self.handle: Any = None

    def start(self, step: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self._keep()
        self.title = step
        self.total = total
        self.unit = unit
        self.done = 0
        self.note = ""
        self.began = time.monotonic()
        self._draw()

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.done = self.done + amount
        self.note = note
        if time.monotonic() - self.drawn >= EVERY:
            self._draw()

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.past.append(text)
        self._draw()

    def end(self) -> None:
        """End the step, if there is one."""
        self._keep()
        self._draw()

    def __repr__(self) -> str:
        return "\n".join([*self.past, *filter(None, [self._now()])])

    def _repr_html_(self) -> str:
        lines = [escape(line) for line in self.past]
        if self.title:
            bar = f'<progress value="{self.done}" max="{self.total}"></progress>'
            lines.append(f"{bar} {escape(self._now())}")
        return f"<small>{'<br>'.join(lines)}</small>"

    def _now(self) -> str:
        if not self.title:
            return ""
        text = f"{self.title} {self.done:,}/{self.total:,} {self.unit}"
        if self.done:
            rate = self.done / max(time.monotonic() - self.began, 1e-9)
            left = duration(max(self.total - self.done, 0) / rate)
            text = f"{text}, {rate:.1f} {self.unit}/s, ETA {left}"
        return f"{text} {self.note}".rstrip()

    def _keep(self) -> None:
        seconds = time.monotonic() - self.began
        if self.title and seconds >= LONG:
            text = f"{self.title} {self.done:,}/{self.total:,} {self.unit}"
            self.past.append(f"{text} {self.note}".rstrip() + f", {duration(seconds)}")
        self.title = ""

    def _draw(self) -> None:
        from IPython.display import display  # a notebook has it

        self.drawn = time.monotonic()
        if self.handle is None:
            shown: Any = display  # IPython says no types
            self.handle = shown(self, display_id=True, metadata=PROGRESS)
        else:
            self.handle.update(self, metadata=PROGRESS)


class CallerBars:
    """Shows the steps of a call from Python until it ends."""

    def __init__(self) -> None:
        self.bars: TerminalBars | NotebookBars | None = None

    def start(self, step: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.bars = self.bars or _new_bars()
        self.bars.start(step, total, unit)

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        if self.bars is not None:
            self.bars.advance(amount, note)

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.bars = self.bars or _new_bars()
        self.bars.say(text)

    def end_call(self) -> None:
        """End the step, if there is one."""
        if self.bars is not None:
            self.bars.end()
        self.bars = None


def _new_bars() -> TerminalBars | NotebookBars:
    if in_notebook():
        return NotebookBars()
    from rich.console import Console

    return TerminalBars(Console(file=sys.stderr, highlight=False))


def caller_progress() -> Progress:
    """The default progress of calls from Python.

    It is a bar for each step in a notebook and on a terminal; elsewhere it is silent.
    """
    if not (in_notebook() or (sys.stderr and sys.stderr.isatty())):
        return Silent()
    return CallerBars()


def in_notebook() -> bool:
    """Whether IPython runs in a kernel, as in a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
