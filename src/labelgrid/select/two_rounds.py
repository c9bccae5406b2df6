"""Picks centres of a large pool in two rounds of k-centre: in random parts, then among their picks.

The memory beside the features is that of one part. The parts depend on the images alone.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from labelgrid.basics.array_types import Bools, Floats, Places
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.select.centres import Candidates, Nearest, farthest_first, finite_rows

#: Two rounds are at most so many times as far from the best choice, where all rows cost the same.
WORST = 4


@dataclass(frozen=True, kw_only=True)
class Cover:
    """Centres that were picked in two rounds.

    Args:
        picks: the rows, in order.
        distances: float64 [n], as those of `farthest_first`.
        radius: the largest distance of a row that could still be picked to its nearest centre.
        least: no choice of as many rows has a smaller radius than this; 0 if that is not known,
            because rows cost differently.
        parts: their number.
    """

    picks: list[int]
    distances: Floats
    radius: float
    least: float
    parts: int

    @property
    def bound(self) -> float:
        """The largest possible ratio of the radius to the best radius; NaN: not known."""
        if self.least:
            return min(self.radius / self.least, WORST)
        return float("nan") if self.radius else 1.0


def _pick_among(pool: Candidates, rows: Places, amount: float) -> tuple[Places, Floats, float]:
    """Pick from some rows, none of them a centre, beside all centres.

    Returns: The picks in order, their distances when picked, and the largest distance of the other
    rows.
    """
    both = np.concatenate([np.flatnonzero(pool.centres), rows])
    positions, distances = farthest_first(pool.at(both), amount)
    picked = np.array(positions, np.intp)
    left = np.ones(len(both), np.bool_)
    left[: len(both) - len(rows)] = False
    left[picked] = False
    return both[picked], distances[picked], float(distances[left].max(initial=0.0))


def cover_in_parts(pool: Candidates, amount: float, size: int) -> Cover:
    """Pick rows that cover a pool: the full amount in each part, then among the picks of all parts.

    Each round is `farthest_first` with the first centres. The parts are drawn by key, never by
    place, so that each is like the pool. Where all rows cost the same, the radius is at most four
    times the smallest possible radius: half the largest distance left by a round is at most that
    smallest radius, as otherwise one row more than allowed would be that far apart.

    Args:
        pool: the rows; those that are not finite are neither picked nor centres.
        amount: what may be spent.
        size: the mean number of rows in a part.

    Source: Gonzalez 1985; Malkomes et al. 2015.
    """
    finite = finite_rows(pool.features)
    costs = np.where(finite, pool.costs, np.inf)
    pool = replace(pool, centres=pool.centres & finite, costs=costs)
    open_rows = np.flatnonzero(np.isfinite(pool.costs) & ~pool.centres)
    parts = max(1, ceil(len(open_rows) / size))
    salt = seed_of(0, "k-centre", "part")
    part_of = (keyed_uniform(pool.keys[open_rows], salt) * parts).astype(np.intp)
    farthest = 0.0
    first_picks = []
    for part in range(parts):
        rows, _, left = _pick_among(pool, open_rows[part_of == part], amount)
        farthest = max(farthest, left)
        first_picks.append(rows)
    picks, at_pick, left = _pick_among(pool, np.sort(np.concatenate(first_picks)), amount)
    farthest = max(farthest, left)
    distances = _distances(pool, finite, picks)
    is_left = np.isfinite(pool.costs) & ~pool.centres
    is_left[picks] = False
    radius = float(distances[is_left].max(initial=0.0))
    distances[picks] = at_pick
    costs = pool.costs[open_rows]
    least = 0.0
    if len(costs) and costs.min() == costs.max():
        least = min(farthest / 2, radius)
    return Cover(picks=picks.tolist(), distances=distances, radius=radius, least=least, parts=parts)


def _distances(pool: Candidates, finite: Bools, picks: Places) -> Floats:
    """The distance [n] of each row to the nearest centre; infinite for rows that are not finite."""
    distances = np.full(len(finite), np.inf)
    rows = np.flatnonzero(finite)
    features = pool.features if finite.all() else pool.features[rows]
    nearest = Nearest(features)
    is_centre = pool.centres.copy()
    is_centre[picks] = True
    nearest.add(np.flatnonzero(is_centre[rows]).tolist())
    distances[rows] = np.sqrt(nearest.values)
    return distances
