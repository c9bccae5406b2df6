"""Keeps the picks of a query, and requests exactly these, as the query itself does.

A dry run can keep its picks in a file, and a later command requests them. Loads no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelgrid.config import parse
from labelgrid.errors import ProjectError, RecipeError, StateError
from labelgrid.files import read_text, write_text
from labelgrid.ledger.grid import Move, Pick, State, Unit
from labelgrid.project.audited_cells import DRAWN_CELLS, note_audits
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.pairs import DRAWN_IMAGES, note_pairs
from labelgrid.project.records import write_picks
from labelgrid.select.draws import SuppliedCells

#: The ledger's note of a round: the key of its query's calibration.
ASKED = "asked/{}"
#: The ledger's key of what earlier budgets left over, by unit.
CARRIED = "carried"


@dataclass(frozen=True, kw_only=True)
class DrawnOfSupplier:
    """The cells of a supplier and task that a query drew at random.

    Args:
        supplier: its name.
        task: the task.
        images: of the cells.
    """

    supplier: str
    task: str
    images: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The picks of a query, and what the ledger keeps of it.

    Args:
        round: the number of the round that it closes.
        pool: a hash of the pool that the picks were chosen from.
        strategy: the strategy's name.
        seed: of the round's draws.
        budget: the query's own, without what earlier ones left over.
        unit: of the budget.
        unspent: the rest of the budget that no further pick fits into.
        picks: best first.
        key: the ledger's key of the strategy's calibration.
        calibration: what the ledger keeps there.
        asked: what the query asked for beside a budget.
        pairs: the images that it drew as pairs.
        paired_tasks: the tasks of which drawn images get all labels.
        audited: the cells that it drew to audit suppliers.
    """

    round: int
    pool: str
    strategy: str
    seed: int
    budget: float
    unit: Unit
    unspent: float
    picks: Sequence[Pick]
    key: str
    calibration: Mapping[str, Any]
    asked: str
    pairs: Sequence[str] = ()
    paired_tasks: Sequence[str] = ()
    audited: Sequence[DrawnOfSupplier] = ()

    @property
    def cost(self) -> float:
        """The total cost of the picks."""
        return float(sum(pick.cost for pick in self.picks))


def write_proposal(path: Path, proposal: Proposal) -> None:
    """Keep a proposal in a file.

    Raises:
        ProjectError: the disk reports an error.
    """
    text = json.dumps(asdict(proposal), ensure_ascii=False, indent=1)
    write_text(path, f"{text}\n", "Nothing was requested.")


def read_proposal(path: Path) -> Proposal:
    """The proposal of a file.

    Raises:
        ProjectError: it is no file of a proposal.
    """
    try:
        values = json.loads(read_text(path))
        if not isinstance(values, Mapping):
            raise ValueError("a table was expected")
        return parse(Proposal, values, str(path), finite=False)
    except (OSError, ValueError, RecursionError, RecipeError) as error:
        raise ProjectError(
            f"This is no file of picks: {error}",
            where=str(path),
            next_step="`labelgrid query DIR --budget N --dry-run --save FILE` writes one.",
            unchanged="Nothing was requested.",
        ) from error


def check_current(project: ProjectFolder, proposal: Proposal, advice: str) -> None:
    """Refuse picks of a pool that has changed since.

    Args:
        project: the project.
        proposal: the picks.
        advice: what the user does if they are refused.

    Raises:
        StateError: it has.
    """
    if not is_current(project, proposal):
        raise StateError(
            "Another command changed the pool after the picks were chosen.",
            where=str(project.folder),
            next_step=advice,
            unchanged="Nothing was requested.",
        )


def is_current(project: ProjectFolder, proposal: Proposal) -> bool:
    """Whether the pool is still the one that the picks were chosen from."""
    same_round = project.round_number == proposal.round
    return same_round and project.store.pool_hash() == proposal.pool


def request_proposal(project: ProjectFolder, proposal: Proposal, advice: str) -> None:
    """Request the picks and close the round, in one transaction.

    Args:
        project: the project.
        proposal: the picks.
        advice: what the user does if they are refused.

    Raises:
        StateError: the pool has changed since the picks were chosen. Nothing was requested.
    """
    store = project.store
    number = proposal.round
    with store.transaction("query"):
        check_current(project, proposal, advice)
        replaced = (proposal.key, ASKED.format(number), CARRIED, DRAWN_IMAGES, DRAWN_CELLS)
        store.keep(notes=replaced, round=number)
        store.put(proposal.key, dict(proposal.calibration))
        store.put(ASKED.format(number), proposal.asked)
        if proposal.pairs:
            note_pairs(project, proposal.pairs, proposal.paired_tasks)
        if proposal.audited:
            note_audits(project, [SuppliedCells(**vars(each)) for each in proposal.audited])
        unspent = {**store.get(CARRIED, {}), proposal.unit: proposal.unspent}
        store.put(CARRIED, unspent)
        row = replace(
            project.open_round(),
            strategy=proposal.strategy,
            seed=proposal.seed,
            pool=proposal.pool,
            budget=proposal.budget,
            unit=proposal.unit,
        )
        write_picks(project.round_folder(number), proposal.picks)
        store.close_round(row, [_move(pick, number) for pick in proposal.picks])


def _move(pick: Pick, number: int) -> Move:
    """The move that requests a pick."""
    return Move(
        cell=pick.cell,
        to=State.REQUESTED,
        round=number,
        request_id=pick.request_id,
        cost=pick.cost,
        score=pick.score,
        weight=pick.weight,
        why=pick.why,
    )
