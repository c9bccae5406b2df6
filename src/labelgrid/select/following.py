"""Values cells by what follows from them through relations, and leaves out those that follow."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelgrid.ledger.grid import Grid, State
from labelgrid.relations.bound import BoundRelation
from labelgrid.select.strategy import Brings, Scores
from labelgrid.streams import keyed_uniform, seed_of

#: Of the cells that follow exactly, this share can be picked all the same: so that it shows if they
#: stop to follow.
STILL_BOUGHT = 0.05


def brings_of(relations: Sequence[BoundRelation]) -> dict[str, dict[str, float]]:
    """What a label of a task brings along, of relations that read no other label.

    It is the trust in the relation times its coverage; of several relations, the largest.
    """
    brings: dict[str, dict[str, float]] = {}
    for relation in relations:
        if len(relation.reads) == 1:
            shares = brings.setdefault(relation.reads[0], {})
            share = relation.trust * relation.coverage
            shares[relation.gives] = max(share, shares.get(relation.gives, 0.0))
    return brings


def leave_out_following(grid: Grid, relations: Sequence[BoundRelation], seed: int) -> Grid:
    """The grid without the cells that follow exactly; none of them is picked.

    A cell follows where every label that its relation reads is there or can still be bought. The
    share `STILL_BOUGHT` of the images, drawn by the seed, keeps all cells.
    """
    exact = [relation for relation in relations if relation.exact]
    if not exact:
        return grid
    columns = {task: column for column, task in enumerate(grid.tasks)}
    left_out = np.zeros(grid.state.shape, np.bool_)
    for relation in exact:
        reads = [columns[task] for task in relation.reads]
        follows = (grid.state[:, reads] != State.SKIPPED).all(1)
        left_out[:, columns[relation.gives]] |= follows
    drawn = keyed_uniform(grid.keys, seed_of(seed, "still bought")) < STILL_BOUGHT
    left_out[drawn] = False
    return replace(grid, left_out=left_out)


def value_with_following(scores: Scores, grid: Grid, brings: Brings) -> Scores:
    """The scores [n, t] of cells, with what they bring along and without what others bring.

    A score counts above the lowest of the pool. A cell that another one brings along loses that
    share of its score, and the other one gains it, if it can be picked. The loss counts as soon as
    the other label is there or can be bought: a label that brings more is the better buy.

    Example:
        >>> grid = Grid(
        ...     images=["i"],
        ...     keys=np.arange(1, dtype=np.uint64),
        ...     tasks=["depth", "normals"],
        ...     state=np.zeros((1, 2), np.int8),
        ...     cost=np.ones(2),
        ... )
        >>> value_with_following(np.array([[1.0, 4.0]]), grid, {"depth": {"normals": 0.5}})
        array([[1.5, 1.5]])
    """
    if not brings:
        return scores
    eligible = grid.eligible
    lowest = scores[eligible].min(initial=np.inf)
    values = np.where(eligible, scores - lowest, np.nan)
    found = values.copy()
    for task, shares in brings.items():
        source = grid.tasks.index(task)
        available = grid.state[:, source] != State.SKIPPED
        for name, share in shares.items():
            target = grid.tasks.index(name)
            worth = share * np.nan_to_num(values[:, target])
            found[:, source] += worth
            found[:, target] -= np.where(available, worth, 0.0)
    return found


def known_labels(grid: Grid, relations: Sequence[BoundRelation]) -> NDArray[np.bool_]:
    """Bool [n, t]: the missing cells whose label follows from labels that are there."""
    columns = {task: column for column, task in enumerate(grid.tasks)}
    labelled = grid.state == State.LABELLED
    missing = grid.state == State.MISSING
    follows = np.zeros(grid.state.shape, np.bool_)
    for relation in relations:
        reads = [columns[task] for task in relation.reads]
        follows[:, columns[relation.gives]] |= labelled[:, reads].all(1)
    return follows & missing
