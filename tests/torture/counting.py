"""Counts how attacks end: one row of the table for each class of attack."""

from collections import Counter
from dataclasses import dataclass, field

#: The columns of the table: how a trial ended. Only the first three are in order.
OUTCOMES = {
    "refused": "refused",
    "right": "right",
    "unnoticed": "cannot be noticed",
    "wrong": "wrong acceptances",
    "traceback": "tracebacks",
    "hang": "hangs",
    "memory": "memory above the limit",
    "lost": "acknowledged labels lost",
}
FINE = ("refused", "right", "unnoticed")


@dataclass
class Row:
    """The trials of one class of attack, by outcome, and a line on each that is not in order."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_run: str = ""

    def count(self, outcome: str, note: str = "") -> None:
        assert outcome in OUTCOMES, outcome
        self.counts[outcome] += 1
        if outcome not in FINE:
            self.failures.append(f"{self.name}: {outcome}: {note}")

    @property
    def trials(self) -> int:
        return self.counts.total()


def table(rows: list[Row]) -> str:
    """The rows and their sum as a Markdown table."""
    whole = Row("**all**", sum((row.counts for row in rows), Counter()))
    lines = [["attack", "trials", *OUTCOMES.values()], ["---", *["---:"] * (1 + len(OUTCOMES))]]
    for row in (*rows, whole):
        figures = [row.trials, *(row.counts[outcome] for outcome in OUTCOMES)]
        lines.append([row.name, *(f"{figure:,}" for figure in figures)])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return text + "".join(
        f"\n{row.name}: not run, because {row.not_run}.\n" for row in rows if row.not_run
    )
