"""Draws cells at random beside the picks of a strategy: pairs for relations, and a control.

No draw depends on what a strategy picks, or on the order of the pool.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.errors import LabelgridError, UsageError
from labelgrid.ledger.grid import Grid, Pick, State, request_id
from labelgrid.select.budget import buy, cell_costs, payable_amount
from labelgrid.select.parts import draw_cells
from labelgrid.select.strategy import Budget
from labelgrid.streams import keyed_uniform, seed_of
from labelgrid.words import count_text, join_names

#: The reasons of cells that were drawn; they stand with the picks and in the ledger's events.
PAIR = "random (pair)"
CONTROL = "random (control)"


@dataclass(frozen=True, kw_only=True)
class RandomDraws:
    """What a query draws at random beside its strategy's picks.

    Args:
        pairs: the number of training images to draw, whatever labels they have.
        tasks: the tasks of which a drawn image gets all labels.
        earlier: the images that earlier queries drew.
        control: the share of the budget that is spent on random cells, from 0 to 1. What the pairs
            take is not part of it.
    """

    pairs: int = 0
    tasks: Sequence[str] = ()
    earlier: Collection[str] = ()
    control: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was drawn.

    Args:
        grid: the pool, in which the drawn cells are requested.
        images: the images of the pairs, also those without a missing cell.
        picks: the drawn cells; their score is None.
        spent: what they take of the budget, in its unit.
    """

    grid: Grid
    images: Sequence[str]
    picks: Sequence[Pick]
    spent: float


def read_draws(pairs: int, control: str | float) -> RandomDraws:
    """The draws that a user asks for, without tasks.

    Raises:
        UsageError: a number is wrong.
    """
    if pairs < 0:
        raise UsageError(
            f"--pairs must be a number of images from 0 up. Found {pairs}.",
            next_step="Use, for example, --pairs 10.",
            unchanged="Nothing was requested.",
        )
    return RandomDraws(pairs=pairs, control=read_share(control))


def read_share(share: str | float) -> float:
    """A share of the budget as a number from 0 to 1.

    Raises:
        UsageError: it is none.

    Example:
        >>> read_share("20%"), read_share(0.2), read_share("0")
        (0.2, 0.2, 0.0)
    """
    text = str(share).strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = np.nan
    if text.endswith("%"):
        value /= 100
    if not 0 <= value <= 1:
        raise UsageError(
            f"--control must be a share of the budget from 0% to 100%. Found {text}.",
            next_step="Use, for example, --control 20%.",
            unchanged="Nothing was requested.",
        )
    return value


def draw_beside(draws: RandomDraws, grid: Grid, budget: Budget, *, seed: int, round: int) -> Drawn:
    """Draw the cells of a query that its strategy does not pick.

    The pairs are the first images, of all training images in one random order, that no earlier
    query drew; so all images drawn so far are a random sample of the training images. An image that
    was drawn earlier is drawn again if it lacks a label that nobody was asked for.

    Args:
        draws: what to draw.
        grid: all training images.
        budget: the most that the drawn cells may take, in all.
        seed: of the project.
        round: its number. The control is drawn anew in each.

    Raises:
        LabelgridError: the budget does not pay for the pairs.
    """
    whole = replace(grid, left_out=None)  # what follows must be bought, too, to measure the trust
    rows = _pair_rows(draws, whole, seed)
    pairs = _missing_items(rows, whole, draws.tasks)
    costs, amount = cell_costs(whole, budget)
    unit = budget.amount / amount  # of a budget of images, a cell takes a part of one
    paid = float(costs[pairs].sum())
    if paid > payable_amount(amount):
        raise _too_dear(draws, len(rows), cells=len(pairs), budget=budget, needed=paid * unit)
    left = _requested(grid, pairs)
    costs, _ = cell_costs(left, budget)
    control = []
    if draws.control:
        scores = draw_cells(left, seed_of(seed, "control", round)).ravel()
        scores[np.isinf(costs)] = np.nan
        keys = np.repeat(left.keys, len(left.tasks))
        control = buy(scores, keys, costs, amount=draws.control * (amount - paid))
    picks = _picks(grid, pairs, PAIR, round) + _picks(grid, control, CONTROL, round)
    return Drawn(
        grid=_requested(left, control),
        images=[grid.images[row] for row in rows],
        picks=picks,
        spent=(paid + float(costs[control].sum())) * unit,
    )


def _pair_rows(draws: RandomDraws, grid: Grid, seed: int) -> list[int]:
    """The rows of the images that are drawn, in the order of the draw."""
    numbers = keyed_uniform(grid.keys, seed_of(seed, "pairs"))
    earlier = set(draws.earlier)
    columns = _columns(grid, draws.tasks)
    rows: list[int] = []
    lacking = np.any(grid.eligible[:, columns], axis=1)
    for row in np.lexsort((grid.keys, numbers)).tolist():
        if len(rows) == draws.pairs:
            break
        if lacking[row] or grid.images[row] not in earlier:
            rows.append(row)
    return rows


def _columns(grid: Grid, tasks: Sequence[str]) -> list[int]:
    """The columns of these tasks, in the grid's order."""
    return [column for column, task in enumerate(grid.tasks) if task in tasks]


def _missing_items(rows: Sequence[int], grid: Grid, tasks: Sequence[str]) -> list[int]:
    """The indices, in the flattened grid, of the missing cells of these rows and tasks."""
    eligible = grid.eligible
    columns = _columns(grid, tasks)
    items = []
    for row in rows:
        items += [row * len(grid.tasks) + column for column in columns if eligible[row, column]]
    return items


def _requested(grid: Grid, items: Sequence[int]) -> Grid:
    """The grid with these cells requested."""
    if not items:
        return grid
    state = grid.state.copy()
    state.ravel()[items] = State.REQUESTED
    return replace(grid, state=state)


def _picks(grid: Grid, items: Sequence[int], why: str, round: int) -> list[Pick]:
    """The picks of these cells."""
    picks = []
    for item in items:
        row, column = divmod(item, len(grid.tasks))
        cell = grid.cell(row, column)
        cost = float(grid.cost[column])
        name = request_id(round, cell)
        picks.append(Pick(cell=cell, score=None, why=why, cost=cost, request_id=name))
    return picks


def _too_dear(
    draws: RandomDraws, images: int, *, cells: int, budget: Budget, needed: float
) -> LabelgridError:
    """The error of a budget that does not pay for the pairs."""
    return LabelgridError(
        f"The budget of {budget.amount:.10g} {budget.unit} does not pay for "
        f"{count_text(images, 'pair')}: {count_text(cells, 'label')} of {join_names(draws.tasks)} "
        f"are missing in these images, which takes {needed:.10g} {budget.unit}.",
        next_step=f"Ask for at least --budget {needed:.10g}, or for fewer --pairs.",
        unchanged="Nothing was requested.",
    )
