"""Defines the laws of analyses, functions that raise AssertionError for a breach.

No law needs a finished study, since a study takes long.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelgrid.basics.progress import Silent
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.testing.laws import Subject, expect


def it_declares_the_runs_that_it_reads(analysis: Any) -> None:
    kinds = analysis.kinds
    expect(
        isinstance(kinds, frozenset) and kinds and all(type(kind) is str for kind in kinds),
        f"`kinds` must be a frozenset of kinds of runs, such as 'strategy'; it is {kinds!r}.",
    )
    expect(
        isinstance(analysis.within, frozenset) and all(type(key) is str for key in analysis.within),
        f"`within` must be a frozenset of columns, empty if need be; it is {analysis.within!r}.",
    )
    expect(
        isinstance(analysis.needs, str) and analysis.needs.strip(),
        "`needs` must say what a study must have, as the end of 'No run has …'; it is "
        f"{analysis.needs!r}.",
    )


def nothing_is_found_and_drawn_of_no_run(analysis: Any) -> None:
    findings = list(analysis.findings([], Silent()))
    expect(findings == [], f"`findings` of no run must be none; they are {findings}.")
    drawn = list(analysis.drawings([]))
    expect(drawn == [], f"`drawings` of no mean must be none; they are {drawn}.")


def case_of(subject: Subject, _place: Path) -> Any:
    """An analysis with the author's `OPTIONS`, or with the defaults."""
    return build_plugin("analyses", PluginChoice(subject.name, subject.says("OPTIONS", {})))


LAWS: tuple[Callable[[Any], None], ...] = (
    it_declares_the_runs_that_it_reads,
    nothing_is_found_and_drawn_of_no_run,
)
