"""Draws cells at random beside a strategy's picks: for relations, for suppliers, and as a control.

No draw depends on what a strategy picks, or on the order of the pool.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    """Whether a strategy picked the cell of a request, be it at random.

    Requests by hand and of held-out images are outside the rounds: theirs is 0.
    """
    return request.round > 0 and request.why not in (PAIR, AUDIT, CONTROL)


def is_random(request: Move) -> bool:
    """Whether the cell of a request was drawn at random, from all training images.

    A strategy's draws are among these; its picks by scores are not, nor audits, which are drawn
    from the images that a supplier gave labels of.
    """
    return request.round > 0 and request.score is None and request.why != AUDIT


@dataclass(frozen=True, kw_only=True)
class SuppliedCells:
    """Cells of a task that a supplier gave labels of.

    Args:
        supplier: its name.
        task: the task.
        images: of the cells.
        earlier: the images of those that earlier queries drew.
    """

    supplier: str
    task: str
    images: Collection[str]
    earlier: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class RandomDraws:
    """What a query draws at random beside its strategy's picks.

    Args:
        pairs: the number of training images to draw, whatever labels they have.
        tasks: the tasks of which a drawn image gets all labels.
        earlier: the images that earlier queries drew.
        audit: the number of cells to draw of those of each supplier and task, whether they have a
            true label or not.
        supplied: the cells that suppliers gave labels of.
        control: the share of the budget that is spent on random cells, from 0 to 1. What pairs and
            audits take is not part of it.
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
    """What was drawn.

    Args:
        grid: the pool, in which the drawn cells are requested.
        images: the images of the pairs, also those without a missing cell.
        audited: the cells that were drawn of suppliers, also those with a true label.
        picks: the drawn cells; their score is None.
        spent: what they take of the budget, in its unit.
    """

    grid: Grid
    images: Sequence[str]
    audited: Sequence[SuppliedCells]
    picks: Sequence[Pick]
    spent: float


def read_draws(pairs: int, audit: int, control: str | float) -> RandomDraws:
    """The draws that a user asks for, without tasks and cells.

    Raises:
        UsageError: a number is wrong.
    """
    for option, count, what in (("--pairs", pairs, "images"), ("--audit", audit, "cells")):
        if count < 0:
            raise UsageError(
                f"{option} must be a number of {what} from 0 up. Found {count}.",
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

    All training images stand in one random order. The pairs are its first images that no earlier
    query drew; so all images drawn so far are a random sample of the training images. An image that
    was drawn earlier is drawn again if it lacks a label that nobody was asked for. The same holds
    for the cells of each supplier and task: the label of a pair is often that of an audit, too.

    Args:
        draws: what to draw.
        grid: all training images.
        budget: the most that the drawn cells may take, in all.
        seed: of the project.
        round: its number. The control is drawn anew in each.

    Raises:
        LabelgridError: the budget does not pay for the pairs and the audits.
    """
    first = _first_drawn(draws, grid, seed)
    pairs = first.pairs
    audits = first.audits
    whole = first.grid
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
        picks += _picks(grid, items, why, round)
    return Drawn(
        grid=_requested(left, control),
        images=[grid.images[row] for row in first.rows],
        audited=first.audited,
        picks=picks,
        spent=(paid + float(costs[control].sum())) * unit,
    )


def labels_to_draw(draws: RandomDraws, grid: Grid, *, seed: int) -> int:
    """The number of missing labels of the pairs and the audits that `draw_beside` draws."""
    first = _first_drawn(draws, grid, seed)
    return len(first.pairs) + len(first.audits)


@dataclass(frozen=True, kw_only=True)
class _FirstDrawn:
    """What is drawn of the pool first of all.

    Args:
        grid: the pool, with the cells that follow from others: they measure the trust, too.
        rows: the rows of the pairs' images.
        pairs: the indices of their missing cells in the flattened grid.
        audited: the cells that are drawn of suppliers.
        audits: the indices of the missing ones of these that are not the pairs'.
    """

    grid: Grid
    rows: Sequence[int]
    pairs: Sequence[int]
    audited: Sequence[SuppliedCells]
    audits: Sequence[int]


def _first_drawn(draws: RandomDraws, grid: Grid, seed: int) -> _FirstDrawn:
    """Draw the pairs and the audits."""
    whole = replace(grid, left_out=None)
    order = _random_order(whole, seed)
    rows = _first_rows(order, whole, draws.tasks, draws.pairs, earlier=draws.earlier)
    pairs = _missing_items(rows, whole, draws.tasks)
    audited = [_first_cells(order, whole, cells, draws.audit) for cells in draws.supplied]
    audits = _audit_items(audited, whole, besides=set(pairs))
    return _FirstDrawn(grid=whole, rows=rows, pairs=pairs, audited=audited, audits=audits)


def _random_order(grid: Grid, seed: int) -> list[int]:
    """All rows in a random order that depends on the names of their images alone."""
    numbers = keyed_uniform(grid.keys, seed_of(seed, "pairs"))
    return [int(row) for row in np.lexsort((grid.keys, numbers))]


def _first_rows(
    order: Iterable[int],
    grid: Grid,
    tasks: Sequence[str],
    count: int,
    *,
    earlier: Collection[str],
) -> list[int]:
    """The first rows of an order that are drawn, at most `count`."""
    known = set(earlier)
    lacking = np.any(grid.eligible[:, _columns(grid, tasks)], axis=1)
    rows: list[int] = []
    for row in order:
        if len(rows) == count:
            break
        if lacking[row] or grid.images[row] not in known:
            rows.append(row)
    return rows


def _first_cells(
    order: Sequence[int], grid: Grid, cells: SuppliedCells, count: int
) -> SuppliedCells:
    """Those of a supplier's cells that are drawn, in the order of the draw."""
    given = set(cells.images)
    own = [row for row in order if grid.images[row] in given]
    rows = _first_rows(own, grid, [cells.task], count, earlier=cells.earlier)
    return replace(cells, images=[grid.images[row] for row in rows], earlier=())


def _audit_items(
    audited: Iterable[SuppliedCells], grid: Grid, *, besides: Collection[int]
) -> list[int]:
    """The indices of the missing ones of drawn cells, each once, without some."""
    rows = {image_id: row for row, image_id in enumerate(grid.images)}
    items: dict[int, None] = {}
    for cells in audited:
        drawn = [rows[image_id] for image_id in cells.images]
        items |= dict.fromkeys(_missing_items(drawn, grid, [cells.task]))
    return [item for item in items if item not in besides]


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
    draws: RandomDraws, counts: Mapping[str, int], *, budget: Budget, needed: float
) -> LabelgridError:
    """The error of a budget that does not pay for the pairs and the audits.

    Args:
        draws: what was to be drawn.
        counts: the number of labels to request, by reason.
        budget: the budget.
        needed: what they take of it.
    """
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
