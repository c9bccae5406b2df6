"""What the user sees: progress with rate and ETA, tables, errors. Results go to stdout, all else to stderr."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from labelgrid.errors import LabelgridError

console = Console(stderr=True, highlight=False)
out = Console(highlight=False)


class Bar:
    """Draws `labelgrid.progress.Progress` on the terminal; prints a line a piece of work where there is none."""

    def __init__(self) -> None:
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self.task: Any = None
        self.unit = ""

    def start(self, what: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.unit = unit
        self.bars.start()
        if self.task is not None:
            self.bars.stop_task(self.task)
        self.task = self.bars.add_task(what, total=total, rate=unit, note="")

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        if self.task is None:
            return
        self.bars.advance(self.task, amount)
        speed = self.bars.tasks[-1].finished_speed or self.bars.tasks[-1].speed
        rate = f"{speed:.1f} {self.unit}/s" if speed else self.unit
        self.bars.update(self.task, rate=rate, note=note)

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.bars.console.print(escape(text), soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.task is not None:  # a stop without a start draws an empty line
            self.bars.stop()


class Runs:
    """Draws many runs as a live table; prints a line a change where there is no terminal."""

    def __init__(self) -> None:
        self.live = Live(console=console, refresh_per_second=2)
        self.begun, self.told = time.monotonic(), {}  # type: tuple[float, dict[str, str]]

    def __enter__(self) -> "Runs":
        if console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def show(self, reports: Mapping[str, Any]) -> None:
        """Draw how the runs are doing."""
        if console.is_terminal:
            self.live.update(self._drawn(reports))
            return
        for key, report in reports.items():
            share = f" {100 * report.done / report.work:.0f} %" if report.state == "running" else ""
            told = f"{report.state}{share}"
            if self.told.get(key, "waiting") != told:
                self.told[key] = told
                note(f"{key}: {told} {report.fault}".rstrip() + f" ({self._stand(reports)})")

    def _stand(self, reports: Mapping[str, Any]) -> str:
        ended = sum(report.state in ("done", "failed") for report in reports.values())
        return f"{ended} of {len(reports)} runs{self._eta(reports)}"

    def _drawn(self, reports: Mapping[str, Any]) -> Group:
        """Those that are running or have failed; the others are counted, however many there are."""
        waiting = sum(report.state == "waiting" for report in reports.values())
        drawn = Table("run", "state", "what")
        for key, report in sorted(reports.items(), key=lambda item: item[1].state != "running"):
            if report.state in ("running", "failed"):
                drawn.add_row(escape(key), report.state, escape(report.fault or report.what))
        return Group(f"{self._stand(reports)}; {waiting} waiting", *([drawn] if drawn.rows else []))

    def _eta(self, reports: Mapping[str, Any]) -> str:
        """When all will be done at the rate of this call; "" before anything was."""
        done = sum(report.done - (report.found or 0.0) for report in reports.values())
        left = sum(report.work - report.done for report in reports.values() if report.state != "failed")
        if not done:
            return ""
        return f", ETA {duration((time.monotonic() - self.begun) / done * left)}"


class StudyBar(Bar):
    """Draws the progress of a study: a bar while its images are read, then the table of its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Runs | None = None

    def show(self, statuses: Mapping[str, Any]) -> None:
        """Draw how the runs are doing."""
        if self.table is None:
            super().__exit__(None, None, None)
            self.task, self.table = None, Runs().__enter__()
        self.table.show(statuses)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self.table is not None:
            self.table.__exit__(kind, error, trace)


def duration(seconds: float) -> str:
    """A length of time as people say it.

    Example:
        >>> duration(40), duration(400), duration(40000)
        ('40 s', '7 min', '11 h 7 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def error(fault: LabelgridError) -> None:
    """Print a refusal."""
    head, _, tail = str(fault).partition("\n")
    console.print(f"[red]Error:[/] {escape(head)}", soft_wrap=True)
    if tail:
        console.print(escape(tail), soft_wrap=True)


def note(text: str) -> None:
    """Print a line that is no result."""
    console.print(escape(text), soft_wrap=True)


def say(text: str) -> None:
    """Print a line of the result."""
    out.print(escape(text), soft_wrap=True)


def as_json(value: Any) -> None:
    """Print a result for programs."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table of the result; numbers stand to the right."""
    drawn = Table(title=escape(title), title_justify="left")
    for index, column in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        drawn.add_column(escape(column), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(f"{v:.4g}" if isinstance(v, float) else str(v)) for v in row))
    out.print(drawn)
