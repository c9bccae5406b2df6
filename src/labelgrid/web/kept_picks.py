"""Shows the picks of a job's dry run, and starts a job to request them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.api.reader import ProjectReader
from labelgrid.api.requests import QueryRequest
from labelgrid.basics.errors import LedgerError, StateError
from labelgrid.ledger.grid import Pick
from labelgrid.rounds.proposal import Proposal, read_proposal
from labelgrid.rounds.query import is_current
from labelgrid.web import jobs
from labelgrid.web.job_orders import PICKS, ReadyOrder

#: The picks that a page shows.
COUNT = 48


@dataclass(frozen=True, kw_only=True)
class PicksView:
    """The picks of a dry run.

    Args:
        strategy: the strategy that picked.
        picks: the first of them, best first.
        counts: the number of all by task.
        cost: the cost of all.
        is_current: whether they can be requested: no cell changed since.
    """

    strategy: str
    picks: Sequence[Pick]
    counts: Mapping[str, int]
    cost: float
    is_current: bool

    @property
    def total(self) -> int:
        """The number of all picks."""
        return sum(self.counts.values())


def picks_view(project: ProjectReader, number: int) -> PicksView | None:
    """The picks that a job found; None if it was no dry run, or found none.

    Raises:
        ProjectError: the file of the picks is damaged.
    """
    proposal = kept_picks(project, number)
    if proposal is None:
        return None
    return PicksView(
        strategy=proposal.strategy,
        picks=proposal.picks[:COUNT],
        counts=Counter(pick.cell.task for pick in proposal.picks),
        cost=proposal.cost,
        is_current=is_current(project.disk, proposal),
    )


def request_picks(project: ProjectReader, number: int) -> int:
    """Start a job to request the picks of a dry run, and return its number.

    Raises:
        LedgerError: the dry run found no picks.
        StateError: a cell changed since, or another job goes on.
    """
    proposal = kept_picks(project, number)
    if proposal is None:
        raise LedgerError(f"Job {number} has found no picks.", unchanged="Nothing was requested.")
    if not is_current(project.disk, proposal):
        raise StateError(
            "A cell changed after these picks were chosen.",
            next_step="Show the picks of the budget again.",
            unchanged="Nothing was requested.",
        )
    return jobs.start(project, ReadyOrder("query", QueryRequest(picks=_file(project, number))))


def kept_picks(project: ProjectReader, number: int) -> Proposal | None:
    """The picks of a job; None if it kept none.

    Raises:
        ProjectError: their file is damaged.
    """
    path = _file(project, number)
    return read_proposal(path) if path.is_file() else None


def _file(project: ProjectReader, number: int) -> Path:
    return project.disk.inside(f"{jobs.FOLDER}/{number:04d}/{PICKS}").absolute()
