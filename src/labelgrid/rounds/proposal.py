"""Keeps the picks of a dry run in a file, to be requested by a later command.

Loads no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.files import read_text, write_text
from labelgrid.basics.type_names import Values
from labelgrid.ledger.grid import Pick, Unit
from labelgrid.select.draws import SuppliedCells


@dataclass(frozen=True, kw_only=True)
class DrawnOfSupplier:
    """The cells of a supplier and task that a query drew at random.

    Args:
        supplier: its name.
        task: the task.
        images: the images of the cells.
    """

    supplier: str
    task: str
    images: Sequence[str]

    @classmethod
    def of(cls, cells: SuppliedCells) -> "DrawnOfSupplier":
        """Return the record of drawn cells."""
        return cls(supplier=cells.supplier, task=cells.task, images=list(cells.images))


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The picks of a query, with notes for the ledger.

    Args:
        round: the number of the round that it closes.
        pool: a hash of the pool that the picks were chosen from.
        strategy: the strategy's name.
        seed: the seed of the round's draws.
        budget: the query's own, without what earlier ones left over.
        unit: the unit of the budget.
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
    calibration: Values
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
            where=path,
            next_step="`labelgrid query DIR --budget N --dry-run --save FILE` writes one.",
            unchanged="Nothing was requested.",
        ) from error
