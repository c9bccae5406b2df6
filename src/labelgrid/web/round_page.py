"""Collects what the page of a round shows: its picks, why they were picked, and their answers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from labelgrid.api.project import Project
from labelgrid.ledger.grid import Pick
from labelgrid.rounds.control_record import ComparisonRecord, read_comparison
from labelgrid.web.grid_page import MOST_PAGES
from labelgrid.web.pages import page_count

#: The picks of a page.
COUNT = 48
#: What became of a pick, by the state of its cell: in the order in which they are counted.
ANSWERS = {"labelled": "labelled", "skipped": "skipped", "requested": "open", "": "cancelled"}


class RoundQuery(BaseModel):
    """A round's page."""

    number: int = Field(ge=1, le=9999, description="Of the round.")
    page: int = Field(1, ge=1, le=MOST_PAGES, description="The number of the page of picks.")


@dataclass(frozen=True, kw_only=True)
class PickLine:
    """A pick with its answer, one of `ANSWERS`."""

    pick: Pick
    answer: str


@dataclass(frozen=True, kw_only=True)
class RoundView:
    """The page of a round.

    Args:
        values: of the round, as `status` tells them.
        picks: those of the page.
        counts: the number of all picks by their answers.
        page: the number of the page.
        pages: the number of pages.
        before: the number of the round before; None without one.
        after: that of the round after it.
        control: whether picks paid beside random ones, as measured last; None if it was not.
    """

    values: Mapping[str, Any]
    picks: list[PickLine]
    counts: Mapping[str, int]
    page: int
    pages: int
    before: int | None
    after: int | None
    control: ComparisonRecord | None

    @property
    def total(self) -> int:
        """The number of all picks."""
        return sum(self.counts.values())


def round_view(project: Project, query: RoundQuery) -> RoundView:
    """The page of a round; a number beyond the last page is the last one.

    Raises:
        LedgerError: there is no such round.
        ProjectError: a file of the round is damaged.
    """
    picks = _answered(project, query.number)
    counts = Counter(shown.answer for shown in picks)
    pages = page_count(len(picks), COUNT)
    page = min(query.page, pages)
    rounds = {row["round"]: row for row in project.round_rows()}
    return RoundView(
        values=rounds[query.number],
        picks=picks[(page - 1) * COUNT : page * COUNT],
        counts={answer: counts[answer] for answer in ANSWERS.values()},
        page=page,
        pages=pages,
        before=max((number for number in rounds if number < query.number), default=None),
        after=min((number for number in rounds if number > query.number), default=None),
        control=read_comparison(project.folder),
    )


def _answered(project: Project, number: int) -> list[PickLine]:
    """The picks of a round with their answers."""
    picks = project.picks(number)
    states = {cell: state.name.lower() for cell, state in project.answers(number).items()}
    return [PickLine(pick=pick, answer=ANSWERS[states.get(pick.cell, "")]) for pick in picks]
