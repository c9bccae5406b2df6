"""Draws cells at random beside a strategy's picks: for relations, for suppliers, and as a control.

No draw depends on what a strategy picks, or on the order of the pool.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import Grid, Move, Pick, State, request_id
from labelgrid.select.budget import buy, cell_costs, payable_amount
from labelgrid.select.parts import draw_cells
from labelgrid.select.strategy import Budget

#: The reasons of cells that were drawn; they stand with the picks and in the ledger's events.
PAIR = "random (pair)"
AUDIT = "random (audit)"
CONTROL = "random (control)"


def is_pick(request: Move) -> bool:
    """Whether a strategy picked the cell of a request, at random or not.

    Requests by hand and of held-out images are outside the rounds: theirs is 0.
    """
    return request.round > 0 and request.why not in (PAIR, AUDIT, CONTROL)


def is_random(request: Move) -> bool:
    """Whether the cell of a request was drawn at random, from all training images.

    True for a strategy's random draws. False for picks by scores, and for audits, which are drawn
    from the images with a supplier's labels.
    """
    return request.round > 0 and request.score is None and request.why != AUDIT


@dataclass(frozen=True, kw_only=True)
class SuppliedCells:
    """Cells of a task that a supplier gave labels of.

    Args:
        supplier: its name.
        task: the task.
        images: the images of the cells.
        earlier: the images of those that earlier queries drew.
    """

    supplier: str
    task: str
    images: Collection[str]
    earlier: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class RandomDraws:
    """The random draws of a query, beside the strategy's picks.

    Args:
        pairs: the number of training images to draw, whatever labels they have.
        tasks: the tasks of which a drawn image gets all labels.
        earlier: the images that earlier queries drew.
        audit: the number of cells to draw for each supplier and task, with a true label or not.
        supplied: the cells that suppliers gave labels of.
        control: the share of the budget for random cells, from 0 to 1, beside pairs and audits.
        alone: whether the query has no other budget, and its strategy picks nothing.
    """

    pairs: int = 0
    tasks: Sequence[str] = ()
    earlier: Collection[str] = ()
    audit: int = 0
    supplied: Sequence[SuppliedCells] = ()
    control: float = 0.0
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The result of the random draws.

    Args:
        grid: the pool, in which the drawn cells are requested.
        images: the images of the pairs, also those without a missing cell.
        audited: the cells that were drawn of suppliers, also those with a true label.
        picks: the drawn cells; their score is None.
        spent: the part of the budget used, in its unit.
    """

    grid: Grid
    images: Sequence[str]
    audited: Sequence[SuppliedCells]
    picks: Sequence[Pick]
    spent: float


def read_draws(pairs: int, audit: int, control: str | float) -> RandomDraws:
    """Read the draws that a user asks for, without tasks and cells.

    Raises:
        UsageError: a number is wrong.
    """
    for option, count, noun in (("--pairs", pairs, "images"), ("--audit", audit, "cells")):
        if count < 0:
            raise UsageError(
                f"{option} must be a number of {noun} from 0 up. Found {count}.",
                next_step=f"Use, for example, {option} 10.",
                unchanged="Nothing was requested.",
            )
    return RandomDraws(pairs=pairs, audit=audit, control=read_share(control))


def need_budget(budget: float | None, pairs: int, audit: int) -> None:
    """Refuse a query that would ask for nothing.

    Raises:
        UsageError: there is no budget, and nothing is drawn.
    """
    if budget is None and not (pairs or audit):
        raise UsageError(
            "A query needs a budget, or else --pairs or --audit. Found none.",
            next_step="Add, for example, --budget 60.",
            unchanged="Nothing was requested.",
        )


def read_share(given: str | float) -> float:
    """Read a share of the budget as a number from 0 to 1.

    Raises:
        UsageError: the text is no share.

    Example:
        >>> read_share("20%"), read_share(0.2), read_share("0")
        (0.2, 0.2, 0.0)
    """
    text = str(given).strip()
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
    """Draw the cells of a query beside the strategy's picks.

    All training images stand in one random order. The pairs are its first images that no earlier
    query drew; so all images drawn so far are a random sample of the training images. An image that
    was drawn earlier is drawn again if it lacks a label that was never requested. The same holds
    for the cells of each supplier and task: the label of a pair is often that of an audit, too.

    Args:
        draws: what to draw.
        grid: all training images.
        budget: the most that the drawn cells may take, in all.
        seed: the seed of the project.
        round: its number. The control is drawn anew in each.

    Raises:
        LabelgridError: the budget does not pay for the pairs and the audits.
    """
    whole = replace(grid, left_out=None)  # cells that follow from others measure the trust, too
    rows, pairs, audited, audits = _first_drawn(draws, whole, seed)
    costs, amount = cell_costs(whole, budget)
    unit = budget.amount / amount  # of a budget of images, a cell takes a part of one
    paid = float(costs[[*pairs, *audits]].sum())
    if paid > payable_amount(amount):
        counts = {PAIR: len(pairs), AUDIT: len(audits)}
        raise _too_dear(draws, counts, budget=budget, needed=paid * unit)
    left = _requested(grid, [*pairs, *audits])
    costs, _ = cell_costs(left, budget)
    control = []
    if draws.control:
        scores = draw_cells(left, seed_of(seed, "control", round)).ravel()
        scores[np.isinf(costs)] = np.nan
        keys = np.repeat(left.keys, len(left.tasks))
        control = buy(scores, keys, costs, amount=draws.control * (amount - paid))
    picks = []
    for why, items in ((PAIR, pairs), (AUDIT, audits), (CONTROL, control)):
        for item in items:
            row, column = divmod(item, len(grid.tasks))
            cell = grid.cell(row, column)
            cost = float(grid.cost[column])
            name = request_id(round, cell)
            picks.append(Pick(cell=cell, score=None, why=why, cost=cost, request_id=name))
    return Drawn(
        grid=_requested(left, control),
        images=[grid.images[row] for row in rows],
        audited=audited,
        picks=picks,
        spent=(paid + float(costs[control].sum())) * unit,
    )


def labels_to_draw(draws: RandomDraws, grid: Grid, *, seed: int) -> int:
    """The number of missing labels of the pairs and the audits that `draw_beside` draws."""
    _, pairs, _, audits = _first_drawn(draws, replace(grid, left_out=None), seed)
    return len(pairs) + len(audits)


def _first_drawn(
    draws: RandomDraws, grid: Grid, seed: int
) -> tuple[list[int], list[int], list[SuppliedCells], list[int]]:
    """Draw the pairs and the audits.

    Returns:
        The rows of the pairs; the indices of their missing cells in the flattened grid; the audited
        cells; the indices of the missing cells of audits that are no pairs'.
    """
    numbers = keyed_uniform(grid.keys, seed_of(seed, "pairs"))
    order = np.lexsort((grid.keys, numbers)).tolist()
    pair_rows = _first_rows(order, grid, draws.tasks, draws.pairs, earlier=draws.earlier)
    pairs = _missing_items(pair_rows, grid, draws.tasks)
    audited = []
    audits = dict[int, None]()
    for cells in draws.supplied:
        given = set(cells.images)
        offered = [row for row in order if grid.images[row] in given]
        rows = _first_rows(offered, grid, [cells.task], draws.audit, earlier=cells.earlier)
        audits |= dict.fromkeys(_missing_items(rows, grid, [cells.task]))
        audited.append(replace(cells, images=[grid.images[row] for row in rows], earlier=()))
    besides = set(pairs)
    return pair_rows, pairs, audited, [item for item in audits if item not in besides]


def _first_rows(
    order: Sequence[int],
    grid: Grid,
    tasks: Sequence[str],
    count: int,
    *,
    earlier: Collection[str],
) -> list[int]:
    drawn = set(earlier)
    lacking = np.any(grid.eligible[:, _columns(grid, tasks)], axis=1)
    rows: list[int] = []
    for row in order:
        if len(rows) == count:
            break
        if lacking[row] or grid.images[row] not in drawn:
            rows.append(row)
    return rows


def _columns(grid: Grid, tasks: Sequence[str]) -> list[int]:
    columns = []
    for column, task in enumerate(grid.tasks):
        if task in tasks:
            columns.append(column)
    return columns


def _missing_items(rows: Sequence[int], grid: Grid, tasks: Sequence[str]) -> list[int]:
    """The indices, in the flattened grid, of the missing cells of some rows and tasks."""
    eligible = grid.eligible
    columns = _columns(grid, tasks)
    items = []
    for row in rows:
        items += [row * len(grid.tasks) + column for column in columns if eligible[row, column]]
    return items


def _requested(grid: Grid, items: Sequence[int]) -> Grid:
    if not items:
        return grid
    state = grid.state.copy()
    state.ravel()[items] = State.REQUESTED
    return replace(grid, state=state)


def _too_dear(
    draws: RandomDraws, counts: Mapping[str, int], *, budget: Budget, needed: float
) -> LabelgridError:
    purposes = {PAIR: f"as pairs of {join_names(draws.tasks)}", AUDIT: "to audit suppliers"}
    options = {PAIR: "--pairs", AUDIT: "--audit"}
    wanted = [why for why, count in counts.items() if count]
    texts = [f"{count_text(counts[why], 'label')} {purposes[why]}" for why in wanted]
    fewer = " or ".join(options[why] for why in wanted)
    return LabelgridError(
        f"The budget of {budget.amount:.10g} {budget.unit} does not pay for what is drawn at "
        f"random: {' and '.join(texts)}, which takes {needed:.10g} {budget.unit}.",
        next_step=f"Ask for at least --budget {needed:.10g}, or for fewer {fewer}.",
        unchanged="Nothing was requested.",
    )
