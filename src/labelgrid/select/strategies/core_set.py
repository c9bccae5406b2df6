"""Core-Set: picks images that cover the pool, each farthest from all labelled and picked images.

Distances are between pooled features (Sener & Savarese 2018). It needs the statistic `features`. A
pool of more than ten million is picked from in two rounds.
"""

from dataclasses import dataclass, field
from math import isnan
from typing import ClassVar, Literal

import numpy as np

from labelgrid.basics.words import count_text
from labelgrid.select.budget import image_costs
from labelgrid.select.centres import Candidates, farthest_first
from labelgrid.select.parts import draw_images
from labelgrid.select.strategy import Budget, PoolView, Selection
from labelgrid.select.two_rounds import cover_in_parts

FEATURES = "features"


@dataclass(frozen=True)
class Options:
    """The size up to which a pool is picked from exactly.

    Args:
        exact_up_to: the number of images. In a larger pool, picking takes two rounds: first in
            random parts of about that size, then among the picks of all parts.
    """

    exact_up_to: int = 10_000_000

    def __post_init__(self) -> None:
        if self.exact_up_to < 1:
            raise ValueError(f"exact_up_to is at least 1; it is {self.exact_up_to}")


@dataclass(frozen=True)
class CoreSet:
    """Picks whole images by greedy k-centre.

    Images with a label or a request of any task are the first centres. The picks are exactly those
    of the greedy algorithm in float64; ties are broken by image key. A pool of more than
    `exact_up_to` candidates uses `cover_in_parts`, and a message gives a bound on the distance to
    the best choice. A pick's term `distance` is the Euclidean distance of its image to the nearest
    centre when it was picked. With no centre at all, the first image is drawn at random, keyed by
    image, and its distance is 0.

    Source: Sener & Savarese 2018, algorithm 1.
    """

    options: Options = field(default_factory=Options)
    needs: ClassVar[frozenset[str]] = frozenset({FEATURES})
    unit: ClassVar[Literal["images"]] = "images"

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`, with a note on pools that are picked from in two rounds."""
        grid = pool.grid
        candidates = Candidates(
            features=pool.statistics[FEATURES],
            centres=np.any(grid.bought, axis=1),
            costs=image_costs(grid, budget),
            keys=grid.keys,
            draws=draw_images(grid, pool.seed)[:, 0],
        )
        notes = []
        if int(grid.eligible.any(1).sum()) > self.options.exact_up_to:
            cover = cover_in_parts(candidates, budget.amount, self.options.exact_up_to)
            rows = cover.picks
            distances = cover.distances
            note = (
                f"Picked in two rounds, in {count_text(cover.parts, 'random part')} of the pool: "
                f"each image is within {cover.radius:.3g} of one that is labelled or picked"
            )
            bound = f", at most {cover.bound:.2f} times as far as by the best choice of as many."
            if isnan(cover.bound):
                bound = ". Where images cost differently, nothing bounds the best choice."
            notes.append(note + bound)
        else:
            rows, distances = farthest_first(candidates, budget.amount)
        why = "far from all labelled images"
        picks = grid.image_picks((row, distances[row], why) for row in rows)
        return Selection(picks=picks, terms={"distance": distances}, notes=notes)


def build(options: Options) -> CoreSet:
    """Build greedy k-centre."""
    return CoreSet(options)
