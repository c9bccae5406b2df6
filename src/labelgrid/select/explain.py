"""Explains picks: terms among the candidates, ranks without a term, similar images."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Array, Floats, Places
from labelgrid.basics.errors import PluginError
from labelgrid.ledger.grid import Explanation, Grid, Pick, State
from labelgrid.select.strategy import Selection

#: How many picks and labelled images are compared at a time.
PICKS = 512
LABELLED = 4096


def explain_picks(
    selection: Selection, grid: Grid
) -> Iterator[tuple[dict[str, float], Explanation]]:
    """Yield the finite terms and the explanation of each pick, in order.

    The explanations lack the nearest labelled image.

    Args:
        selection: the picks, with the terms and the scores that their strategy gives.
        grid: the pool they were picked from.

    Raises:
        PluginError: an array has neither a value for each cell nor one for each image.
    """
    _check_shapes(selection, grid)
    rows, columns = _places(selection.picks, grid)
    terms = dict[str, list[float]]()
    quantiles = dict[str, list[float]]()
    for name, values in selection.terms.items():
        terms[name] = values[(rows, columns)[: values.ndim]].tolist()
        if values.dtype.kind == "f":
            quantiles[name] = quantiles_of(values, grid, rows, columns).tolist()
    ranks_without = dict[str, list[int]]()
    for name, values in selection.without.items():
        ranks_without[name] = ranks_of(values, grid, rows, columns).tolist()
    ranks = _ranks(selection, grid, rows, columns)
    for index, rank in enumerate(ranks):
        others = {name: listed[index] for name, listed in ranks_without.items() if listed[index]}
        if not others:
            rank = 0
        explanation = Explanation(
            quantiles=_finite_values(quantiles, index), rank=rank, without=others
        )
        yield _finite_values(terms, index), explanation


def _finite_values(lists: dict[str, list[float]], index: int) -> dict[str, float]:
    values = {name: float(numbers[index]) for name, numbers in lists.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _ranks(selection: Selection, grid: Grid, rows: Places, columns: Places) -> list[int]:
    """The ranks of the picks by score; without scores, by the order of the picks."""
    if selection.scores is not None:
        return ranks_of(selection.scores, grid, rows, columns).tolist()
    if not any(values.ndim == 1 for values in selection.without.values()):
        return list(range(1, len(rows) + 1))
    rank_of_image = dict[int, int]()
    return [rank_of_image.setdefault(row, len(rank_of_image) + 1) for row in rows.tolist()]


def _check_shapes(selection: Selection, grid: Grid) -> None:
    n, t = grid.state.shape
    arrays = {**selection.terms, **selection.without}
    if selection.scores is not None:
        arrays["its scores"] = selection.scores
    for name, values in arrays.items():
        if values.shape not in ((n, t), (n,)):
            raise PluginError(
                f"The strategy explains its picks by '{name}', "
                f"an array of shape {list(values.shape)}.",
                next_step=f"Return one value for each image, [{n}], or for each cell, [{n}, {t}].",
                unchanged="Nothing was requested.",
            )


def _places(picks: Sequence[Pick], grid: Grid) -> tuple[Places, Places]:
    picked = {pick.cell.image_id for pick in picks}
    row_of = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    column_of = grid.columns
    rows = np.array([row_of[pick.cell.image_id] for pick in picks], np.intp)
    return rows, np.array([column_of[pick.cell.task] for pick in picks], np.intp)


def quantiles_of(values: Array, grid: Grid, rows: Places, columns: Places) -> Floats:
    """The share of the candidates whose value is smaller than a cell's, equal ones counted half.

    Args:
        values: the values of cells [n, t]: the candidates are the task's missing cells; or of
            images [n]: the candidates are the images with a missing cell. Candidates with NaN, an
            unknown value, do not count.
        grid: the pool.
        rows: the rows of the cells [m].
        columns: their columns [m].

    Returns:
        Float64 [m]; NaN where the value is unknown, or the same for all candidates.
    """
    candidates = grid.eligible
    quantiles = np.full(len(rows), np.nan)
    if values.ndim == 1:
        values = values[:, None]
        columns = np.zeros_like(columns)
        candidates = np.any(candidates, 1, keepdims=True)
    for column in np.unique(columns):
        counted = candidates[:, column] & ~np.isnan(values[:, column])
        ordered = np.sort(values[counted, column])
        cells = columns == column
        cell_values = values[rows[cells], column]
        if len(ordered) and ordered[0] < ordered[-1]:
            below = np.searchsorted(ordered, cell_values, "left")
            up_to = np.searchsorted(ordered, cell_values, "right")
            fraction = (below + up_to) / (2 * len(ordered))
            quantiles[cells] = np.where(np.isnan(cell_values), np.nan, fraction)
    return quantiles


def ranks_of(scores: Array, grid: Grid, rows: Places, columns: Places) -> Places:
    """The ranks [m] of cells by scores [n, t], or of images by scores [n], among the candidates.

    The candidates are as in `quantiles_of`. A rank is 1 + the number of higher scores, NaN not
    counted; 0 where the score is NaN.
    """
    candidates = grid.eligible
    if scores.ndim == 1:
        candidates = np.any(candidates, axis=1)
    ordered = np.sort(scores[candidates & ~np.isnan(scores)])
    cell_scores = scores[(rows, columns)[: scores.ndim]]
    ranks = len(ordered) - np.searchsorted(ordered, cell_scores, "right") + 1
    return np.where(np.isnan(cell_scores), 0, ranks)


def nearest_labelled_images(
    features: AnyFloats, grid: Grid, picks: Sequence[Pick]
) -> list[tuple[str, float]]:
    """Find for each pick the nearest image with a label of the same task.

    Near is a small Euclidean distance of the features. Memory beside the features: a few blocks of
    rows.

    Args:
        features: [n, d], with the grid's rows; rows that are not finite are left out.
        grid: the images, at least those that are labelled or picked.
        picks: the picks, which are cells of the grid.

    Returns:
        For each pick the image id and the distance; `("", nan)` if there is no such image.
    """
    rows, columns = _places(picks, grid)
    finite = np.isfinite(features.sum(1, dtype=np.float64))
    nearest = np.full(len(rows), -1)
    distances = np.full(len(rows), np.nan)
    for column in np.unique(columns):
        labelled = np.flatnonzero((grid.state[:, column] == State.LABELLED) & finite)
        if not len(labelled):
            continue
        labelled = labelled[np.argsort(grid.keys[labelled])]
        indices = np.flatnonzero((columns == column) & finite[rows])
        for start in range(0, len(indices), PICKS):
            part = indices[start : start + PICKS]
            nearest[part] = _nearest_centres(features, rows[part], labelled)
    matched = np.flatnonzero(nearest >= 0)
    apart = np.subtract(features[rows[matched]], features[nearest[matched]], dtype=np.float64)
    distances[matched] = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    names = [str(grid.images[row]) if row >= 0 else "" for row in nearest.tolist()]
    return list(zip(names, distances.tolist(), strict=True))


def _nearest_centres(features: AnyFloats, rows: Places, centres: Places) -> Places:
    """The nearest centre of each row [m]; of equal ones the first."""
    # Products of features with a large mean are not exact.
    mean = features[rows].mean(0, dtype=np.float64)
    centred = features[rows] - mean
    nearest = np.zeros(len(rows), np.intp)
    least = np.full(len(rows), np.inf)
    for start in range(0, len(centres), LABELLED):
        block = features[centres[start : start + LABELLED]] - mean
        squared = np.einsum("ij,ij->i", block, block) - 2 * centred @ block.T
        best = squared.argmin(1)
        values = squared[np.arange(len(rows)), best]
        nearest = np.where(values < least, centres[start + best], nearest)
        least = np.minimum(values, least)
    return nearest
