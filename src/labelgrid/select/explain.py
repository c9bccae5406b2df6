"""Explains picks: how high their terms are among the candidates, their ranks without a term, and what they resemble."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import PluginError
from labelgrid.ledger.grid import Explanation, Grid, Pick, State
from labelgrid.select.strategy import Selection

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

#: How many picks and labelled images are compared at a time.
PICKS = 512
LABELLED = 4096


def explain_picks(
    selection: Selection, grid: Grid
) -> Iterator[tuple[dict[str, float], Explanation]]:
    """The terms that are finite and the explanation of each pick, in their order.

    Without the nearest labelled image.

    Args:
        selection: the picks, with the terms and the scores that their strategy gives.
        grid: the pool they were picked from.

    Raises:
        PluginError: an array has neither a value for each cell nor one for each image.
    """
    _check_shapes(selection, grid)
    rows, columns = _places(selection.picks, grid)
    terms = {
        name: values[(rows, columns)[: values.ndim]].tolist()
        for name, values in selection.terms.items()
    }
    compared = {
        name: values for name, values in selection.terms.items() if values.dtype.kind == "f"
    }
    quantiles = {
        name: quantiles_of(values, grid, rows, columns).tolist()
        for name, values in compared.items()
    }
    without = {
        name: ranks_of(values, grid, rows, columns).tolist()
        for name, values in selection.without.items()
    }
    if selection.scores is None:
        whole = any(values.ndim == 1 for values in selection.without.values())
        items = rows.tolist() if whole else list(range(len(rows)))
        place = {item: number for number, item in enumerate(dict.fromkeys(items), 1)}
        ranks = [place[item] for item in items]
    else:
        ranks = ranks_of(selection.scores, grid, rows, columns).tolist()
    for index, rank in enumerate(ranks):
        others = {name: found[index] for name, found in without.items() if found[index]}
        yield (
            {
                name: float(found[index])
                for name, found in terms.items()
                if math.isfinite(found[index])
            },
            Explanation(
                quantiles={
                    name: found[index]
                    for name, found in quantiles.items()
                    if not np.isnan(found[index])
                },
                rank=rank if others else 0,
                without=others,
            ),
        )


def _check_shapes(selection: Selection, grid: Grid) -> None:
    n, t = grid.state.shape
    scores = {} if selection.scores is None else {"its scores": selection.scores}
    for name, values in {**selection.terms, **selection.without, **scores}.items():
        if values.shape not in ((n, t), (n,)):
            raise PluginError(
                f"The strategy explains its picks by '{name}', an array of shape {list(values.shape)}.",
                next_step=f"Return one value for each image, [{n}], or for each cell, [{n}, {t}].",
                unchanged="Nothing was requested.",
            )


def _places(picks: Sequence[Pick], grid: Grid) -> tuple[Rows, Rows]:
    """The rows and columns [m] of the picks in the grid."""
    picked = {pick.cell.image_id for pick in picks}
    row_of = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    column_of = {task: column for column, task in enumerate(grid.tasks)}
    rows = np.array([row_of[pick.cell.image_id] for pick in picks], np.intp)
    return rows, np.array([column_of[pick.cell.task] for pick in picks], np.intp)


def quantiles_of(values: NDArray[Any], grid: Grid, rows: Rows, columns: Rows) -> Floats:
    """The share of the candidates whose value is smaller than a cell's, equal ones counted half.

    Args:
        values: of cells [n, t]; the candidates are the task's missing cells. Or of images [n]; the
            candidates are those with a missing cell. NaN where unknown: such candidates do not
            count.
        grid: the pool.
        rows: of the cells [m].
        columns: of the cells [m].

    Returns:
        Float64 [m]; NaN where the value is unknown, or the same for all candidates.

    Example:
        >>> grid = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a"], np.zeros((2, 1), np.int8), np.ones(1))
        >>> quantiles_of(np.array([1.0, 7.0]), grid, np.array([1]), np.array([0])).tolist()
        [0.75]
    """
    candidates = grid.eligible
    found = np.full(len(rows), np.nan)
    if values.ndim == 1:
        values = values[:, None]
        columns = np.zeros_like(columns)
        candidates = np.any(candidates, 1, keepdims=True)
    for column in np.unique(columns):
        known = np.sort(values[candidates[:, column] & ~np.isnan(values[:, column]), column])
        own = values[rows[columns == column], column]
        if len(known) and known[0] < known[-1]:
            below, up_to = (np.searchsorted(known, own, side) for side in ("left", "right"))
            found[columns == column] = np.where(
                np.isnan(own), np.nan, (below + up_to) / (2 * len(known))
            )
    return found


def ranks_of(scores: NDArray[Any], grid: Grid, rows: Rows, columns: Rows) -> Rows:
    """The rank of a cell by scores [n, t] among all missing cells, or of its image by scores [n] among images.

    Returns:
        Integers [m]: 1 + the number of candidates with a higher score, those with NaN not counted;
        0 where the score is NaN.

    Example:
        >>> grid = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a"], np.zeros((2, 1), np.int8), np.ones(1))
        >>> ranks_of(np.array([[1.0], [7.0]]), grid, np.array([0, 1]), np.array([0, 0])).tolist()
        [2, 1]
    """
    candidates = grid.eligible if scores.ndim == 2 else grid.eligible.any(1)
    known = np.sort(scores[candidates & ~np.isnan(scores)])
    own = scores[(rows, columns)[: scores.ndim]]
    return np.where(np.isnan(own), 0, len(known) - np.searchsorted(known, own, "right") + 1)


def nearest_labelled_images(
    features: NDArray[np.floating], grid: Grid, picks: Sequence[Pick]
) -> list[tuple[str, float]]:
    """The image with a label of a pick's task whose features are nearest, and their Euclidean distance.

    Memory beside the features: a few blocks of rows.

    Args:
        features: [n, d], with the grid's rows; rows that are not finite are left out.
        grid: the images, at least those that are labelled or picked.
        picks: of its cells.

    Returns:
        For each pick the image id and the distance; `("", nan)` if there is no such image.

    Example:
        >>> grid = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a"], np.array([[0], [2]], np.int8), np.ones(1))
        >>> nearest_labelled(np.array([[0.0, 0.0], [3.0, 4.0]]), grid, [Pick(grid.cell(0, 0), 1.0)])
        [('j', 5.0)]
    """
    rows, columns = _places(picks, grid)
    known = np.isfinite(features.sum(1, dtype=np.float64))
    nearest = np.full(len(rows), -1)
    distances = np.full(len(rows), np.nan)
    for column in np.unique(columns):
        centres = np.flatnonzero((grid.state[:, column] == State.LABELLED) & known)
        some = np.flatnonzero((columns == column) & known[rows])
        for start in range(0, len(some) if len(centres) else 0, PICKS):
            part = some[start : start + PICKS]
            nearest[part] = _nearest(features, rows[part], centres[np.argsort(grid.keys[centres])])
    found = np.flatnonzero(nearest >= 0)
    apart = np.subtract(features[rows[found]], features[nearest[found]], dtype=np.float64)
    distances[found] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    return [
        (str(grid.images[row]) if row >= 0 else "", distance)
        for row, distance in zip(nearest.tolist(), distances.tolist(), strict=True)
    ]


def _nearest(features: NDArray[np.floating], rows: Rows, centres: Rows) -> Rows:
    """The nearest centre of each row [m]; of equal ones the first."""
    mean = features[rows].mean(
        0, dtype=np.float64
    )  # products of features with a large mean are not exact
    own = features[rows] - mean
    nearest = np.zeros(len(rows), np.intp)
    least = np.full(len(rows), np.inf)
    for start in range(0, len(centres), LABELLED):
        block = features[centres[start : start + LABELLED]] - mean
        squared = np.einsum("ij,ij->i", block, block) - 2 * own @ block.T
        best = squared.argmin(1)
        values = squared[np.arange(len(rows)), best]
        nearest = np.where(values < least, centres[start + best], nearest)
        least = np.minimum(values, least)
    return nearest
