"""Prints progress, tables and errors. Results go to stdout, everything else to stderr."""

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from labelgrid.basics.errors import LabelgridError, escape_control_characters
from labelgrid.basics.results import replace_non_finite
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import duration

if TYPE_CHECKING:
    from labelgrid.basics.bars import TerminalBars

console = Console(stderr=True, highlight=False)
out = Console(highlight=False)
#: Seconds between two lines of progress where there is no terminal.
EVERY = 5.0
#: The width of a table where there is no terminal: none of its cells is folded, and all can be
#: searched for.
WIDE = 10_000


class Lines:
    """Prints progress as plain lines for a file or a pipe.

    There is one every five seconds, and one at the end of each step.
    """

    def __init__(self) -> None:
        self.what = ""
        self.unit = ""
        self.note = ""
        self.done = 0
        self.total = 0
        self.began = 0.0
        self.printed = 0.0

    def start(self, step: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.end()
        self.what = step
        self.total = total
        self.unit = unit
        self.done = 0
        self.note = ""
        self.began = self.printed = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.done = self.done + amount
        self.note = note
        now = time.monotonic()
        if self.what and now - self.printed >= EVERY and self.done < self.total:
            self.printed = now
            rate = self.done / (now - self.began)
            self._print(
                f", {rate:.1f} {self.unit}/s, ETA {duration((self.total - self.done) / rate)}"
                if rate
                else ""
            )

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        note(text)

    def end(self) -> None:
        """End the current step, if any; an empty step prints no line."""
        if self.what and self.total:
            self._print("")
        self.what = ""

    def _print(self, more: str) -> None:
        note(f"{self.what} {self.done}/{self.total} {self.unit}{more} {self.note}".rstrip())


def shown(text: str) -> str:
    """A text for rich: no control characters, no markup."""
    return escape(escape_control_characters(text))


class Bar:
    """Shows `labelgrid.basics.progress.Progress`: a bar on the terminal, lines elsewhere."""

    def __init__(self) -> None:
        self.is_terminal = console.is_terminal

    @cached_property
    def steps(self) -> "Lines | TerminalBars":
        """The display of steps, loaded by the first step: many commands have none."""
        if not self.is_terminal:
            return Lines()
        from labelgrid.basics.bars import TerminalBars

        return TerminalBars(console)

    def start(self, step: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.steps.start(step, total, unit)

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.steps.advance(amount, note)

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.steps.say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.steps.end()


def as_options(text: str, spelled: Mapping[str, str] | None = None) -> str:
    """A text of Python, in which a command's options take the place of keywords.

    `spelled` has by keyword how the command writes an option or an argument, where it is known.

    Example:
        >>> as_options("Add `dry_run=`, or leave `prelabels=False` out.")
        'Add --dry-run, or leave --no-prelabels out.'
    """
    from labelgrid.api.door_words import KEYWORDS  # few commands end with an error

    words = {keyword: f"--{option}" for option, keyword in KEYWORDS.items()} | dict(spelled or {})

    def option(keyword: re.Match[str]) -> str:
        word = words.get(keyword[1], f"--{keyword[1].replace('_', '-')}")
        if keyword[2]:
            return word.replace("--", "--no-", 1)
        return word

    # Nobody types None; what is not given is it.
    text = re.sub(r"(must be [^\n]*?) or None\. Found", r"\1. Found", text)
    return re.sub(r"`(\w+)=(False)?`", option, text)


def print_error(fault: LabelgridError) -> None:
    """Print an error, without colours if there is no memory for them."""
    head, _, tail = as_options(str(fault)).partition("\n")
    try:
        console.print(f"[red]Error:[/] {shown(head)}", soft_wrap=True)
        if tail:
            console.print(shown(tail), soft_wrap=True)
    except MemoryError:
        sys.stderr.write(f"Error: {escape_control_characters(as_options(str(fault)))}\n")


def note(text: str) -> None:
    """Print a line to stderr."""
    console.print(shown(text), soft_wrap=True)


def say(text: str) -> None:
    """Print a line of the result to stdout."""
    out.print(shown(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print values, or a record, as JSON that any reader takes: NaN and infinity as `null`."""
    if hasattr(value, "as_json"):
        value = value.as_json()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    sys.stdout.write(json.dumps(replace_non_finite(value), indent=1, allow_nan=False) + "\n")


def print_result(value: Any, json: bool, words: str = "") -> None:
    """Print a result as JSON, or in words; a record has words of its own."""
    if json:
        print_json(value)
    else:
        say(words or str(value))


def print_json_list(values: Iterable[Any]) -> None:
    """Print a list as JSON, a line a value; each is taken when it is printed."""
    before = "["
    for value in values:
        text = json.dumps(replace_non_finite(value), allow_nan=False)
        sys.stdout.write(f"{before}\n{text}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def print_metrics(values: Values) -> None:
    """Print metrics by task, any `loss_mtl`, and the limits of a protocol."""
    rows = [
        [task, values["labels"][task], name, result["value"], result["unit"]]
        for task, group in values["metrics"].items()
        for name, result in group.items()
    ]
    print_table("", ["task", "labels", "metric", "value", "unit"], rows)
    if "loss_mtl" in values:
        say(f"loss_mtl {values['loss_mtl']:.4f}")
    if "protocol" in values:
        protocol = values["protocol"]
        limits = {
            f"the crop {protocol['crop']}": protocol["crop"],
            f"depths above {protocol['min_depth'] or 0:g} m": protocol["min_depth"] is not None,
            f"depths below {protocol['max_depth'] or 0:g} m": protocol["max_depth"] is not None,
        }
        say(f"Counted: {', '.join(words for words, is_given in limits.items() if is_given)}.")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table of the result; columns of numbers are right-aligned.

    Only a terminal's width folds its cells.
    """
    drawn = Table(title=shown(title), title_justify="left")
    for index, column in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        drawn.add_column(shown(column), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(shown(f"{v:z.4g}" if isinstance(v, float) else str(v)) for v in row))
    (out if out.is_terminal else Console(width=WIDE)).print(drawn)
