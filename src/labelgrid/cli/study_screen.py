"""Shows the runs of a study on the screen."""

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from rich.table import Table

from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, duration
from labelgrid.cli import screen

if TYPE_CHECKING:
    from rich.console import Group

#: The states of runs of which this call does no more.
CUT_SHORT = ("stopped", "failed")


class Runs:
    """Shows the runs of a study as a live table.

    Without a terminal it prints a line where a run's state changes, and one every five seconds.
    """

    def __init__(self) -> None:
        from rich.live import Live

        self.live = Live(console=screen.console, refresh_per_second=2)
        self.shown_at = time.monotonic()
        self.printed_at = self.shown_at
        self.seconds: defaultdict[str, float] = defaultdict(float)  # of this call, by run
        self.printed: dict[str, str] = {}

    def __enter__(self) -> "Runs":
        if screen.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def show(self, reports: Values) -> None:
        """Show the state of the runs."""
        now = time.monotonic()
        for key, report in reports.items():
            if report.state == "running":
                self.seconds[key] += now - self.shown_at
        self.shown_at = now
        if screen.console.is_terminal:
            self.live.update(self._table(reports))
            return
        is_due = self.shown_at - self.printed_at >= screen.EVERY
        for key, report in reports.items():
            is_running = report.state == "running"
            percentage = f" {100 * report.done / report.work:.0f} %" if is_running else ""
            if self.printed.get(key, "waiting") != report.state or (is_due and is_running):
                self.printed[key] = report.state
                self.printed_at = self.shown_at
                line = f"{key}: {report.state}{percentage} {report.fault}".rstrip()
                screen.note(f"{line} ({self._summary(reports)})")

    def _summary(self, reports: Values) -> str:
        """The number of ended runs, and the time until all are done at this call's rates."""
        from labelgrid.lab.simulation.forecast import Pace, seconds_left

        paces = []
        for key, report in reports.items():
            pace = Pace(
                arm=report.arm,
                seconds=self.seconds[key],
                done=report.done - (report.done_before or 0.0),
                left=0.0 if report.state in CUT_SHORT else report.work - report.done,
            )
            paces.append(pace)
        states = [report.state for report in reports.values()]
        seconds = seconds_left(paces, states.count("running"))
        eta = "" if seconds is None else f", ETA {duration(seconds)}"
        ended = sum(state in ("done", *CUT_SHORT) for state in states)
        return f"{ended} of {count_text(len(reports), 'run')}{eta}"

    def _table(self, reports: Values) -> "Group":
        """A table of the running, stopped and failed runs; the others are only counted."""
        waiting = sum(report.state == "waiting" for report in reports.values())
        from rich.console import Group

        rows = Table("run", "state", "what")
        for key, report in sorted(reports.items(), key=lambda item: item[1].state != "running"):
            if report.state in ("running", *CUT_SHORT):
                activity = screen.shown(report.fault or report.what)
                rows.add_row(screen.shown(key), report.state, activity)
        return Group(f"{self._summary(reports)}; {waiting} waiting", *([rows] if rows.rows else []))


class StudyBar(screen.Bar):
    """Draws the progress of a study: a bar while images are read, then the table of its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Runs | None = None

    def show(self, statuses: Values) -> None:
        """Draw how the runs are doing."""
        if self.table is None:
            super().__exit__()
            self.table = Runs().__enter__()
        self.table.show(statuses)

    def __exit__(self, *error: object) -> None:
        super().__exit__()
        if self.table is not None:
            self.table.__exit__()
