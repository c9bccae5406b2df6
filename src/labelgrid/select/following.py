"""Values cells by the labels that follow through relations, and leaves out following cells."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from labelgrid.basics.array_types import Bools
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.basics.words import join_names
from labelgrid.ledger.grid import Grid, State
from labelgrid.relations.bound import BoundRelation
from labelgrid.select.strategy import Brings, Scores

#: Of the cells that follow exactly, this share can be picked all the same: so that it shows if they
#: stop to follow.
STILL_BOUGHT = 0.05
#: A label follows mostly where the trust in its relation times its coverage is this or more.
MOSTLY = 0.8


def brings_of(relations: Sequence[BoundRelation]) -> dict[str, dict[str, float]]:
    """The shares of labels that follow from a label, by relations with a single source.

    A share is the trust in the relation times its coverage; of several relations, the largest.
    """
    brings: dict[str, dict[str, float]] = {}
    for relation in relations:
        if len(relation.reads) == 1:
            fractions = brings.setdefault(relation.reads[0], {})
            fraction = relation.trust * relation.coverage
            fractions[relation.gives] = max(fraction, fractions.get(relation.gives, 0.0))
    return brings


def leave_out_following(
    grid: Grid,
    relations: Sequence[BoundRelation],
    seed: int,
    *,
    mostly: bool = False,
    asked: Collection[str] = (),
) -> Grid:
    """Leave out the exactly following cells: no strategy picks them.

    A cell follows where every label that its relation reads is there or can still be bought. The
    share `STILL_BOUGHT` of the images, drawn by the seed, keeps the cells.

    Args:
        grid: the pool.
        relations: the relations that are on, the most trusted first.
        seed: the seed of the project.
        mostly: also leave out cells that mostly follow (`mostly_following`): a share of 1 - trust *
            coverage of the images keeps them.
        asked: tasks that the user asked for, whose mostly following cells stay.
    """
    kept = [(relation, STILL_BOUGHT) for relation in relations if relation.exact]
    if mostly:
        following = [one for one in mostly_following(relations) if one.gives not in asked]
        kept += [(one, 1 - one.trust * one.coverage) for one in following]
    if not kept:
        return grid
    columns = grid.columns
    left_out = np.zeros(grid.state.shape, np.bool_)
    draws = keyed_uniform(grid.keys, seed_of(seed, "still bought"))
    for relation, kept_fraction in kept:
        reads = [columns[task] for task in relation.reads]
        follows = (grid.state[:, reads] != State.SKIPPED).all(1)
        left_out[:, columns[relation.gives]] |= follows & (draws >= kept_fraction)
    return replace(grid, left_out=left_out)


def mostly_following(relations: Sequence[BoundRelation]) -> list[BoundRelation]:
    """The relations, none exact, whose labels need mostly not be bought (`MOSTLY`).

    No task is both read and given by these relations and the exact ones: if two tasks follow from
    each other, the task given by the most trusted relation is left out.
    """
    following: list[BoundRelation] = []
    exact = [relation for relation in relations if relation.exact]
    for relation in relations:
        if relation.exact or relation.trust * relation.coverage < MOSTLY:
            continue
        used = exact + following
        read = {task for other in used for task in other.reads}
        given = {other.gives for other in used}
        if relation.gives not in read and given.isdisjoint(relation.reads):
            following.append(relation)
    return following


def left_out_text(grid: Grid, relations: Sequence[BoundRelation], seed: int) -> str:
    """Say how many labels are left out because they follow mostly; "" if none."""
    if grid.left_out is None:
        return ""
    exact = leave_out_following(replace(grid, left_out=None), relations, seed).left_out
    left_out = (grid.state == State.MISSING) & grid.left_out
    if exact is not None:
        left_out &= ~exact
    counts = zip(grid.tasks, left_out.sum(0).tolist(), strict=True)
    parts = []
    for task, count in counts:
        if count:
            parts.append(f"{count:,} of {task}")
    if not parts:
        return ""
    return (
        f"Labels that follow from others are not asked for: {join_names(parts)}. `--task NAME` "
        "asks for them all the same."
    )


def value_with_following(scores: Scores, grid: Grid, brings: Brings) -> Scores:
    """The scores [n, t] of cells, with the share of a following label moved to its source.

    A score counts above the lowest of the pool. If cell A brings along a share of cell B, B loses
    that share of its score, and A gains it if A can be picked. The loss counts as soon as the other
    label is there or can be bought: a label that brings more is the better buy.

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
    moved = values.copy()
    for task, fractions in brings.items():
        source = grid.tasks.index(task)
        available = grid.state[:, source] != State.SKIPPED
        for name, fraction in fractions.items():
            target = grid.tasks.index(name)
            worth = fraction * np.nan_to_num(values[:, target])
            moved[:, source] += worth
            moved[:, target] -= np.where(available, worth, 0.0)
    return moved


def known_labels(grid: Grid, relations: Sequence[BoundRelation]) -> Bools:
    """Bool [n, t]: the missing cells whose label follows from labels that are there."""
    columns = grid.columns
    labelled = grid.state == State.LABELLED
    missing = grid.state == State.MISSING
    follows = np.zeros(grid.state.shape, np.bool_)
    for relation in relations:
        reads = [columns[task] for task in relation.reads]
        follows[:, columns[relation.gives]] |= labelled[:, reads].all(1)
    return follows & missing
