"""Stratified random: draws equally many images or cells at random from each stratum of the pool.

The strata are rare predicted classes where a task predicts classes, and clusters of pooled features
otherwise.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from labelgrid.basics.array_types import AnyFloats, Bools, Places
from labelgrid.basics.streams import seed_of
from labelgrid.select.budget import image_costs
from labelgrid.select.clusters import k_means
from labelgrid.select.parts import draw_cells, draw_images
from labelgrid.select.shares import alternate, deal, deal_cells, groups_of, random_order
from labelgrid.select.strategy import Budget, PickUnit, PoolView, Selection

CLASSES = "classes"
FEATURES = "features"


@dataclass(frozen=True)
class Options:
    """The sort of the strata, and the unit of the draws.

    Args:
        by: `"classes"`: a stratum for each predicted class: an image belongs to its rarest one;
            `"features"`: clusters of features; `"either"`: classes if a trained task predicts some,
            otherwise clusters.
        least: a class counts in an image if it is predicted for at least this share of the pixels.
        clusters: the number of clusters of features.
        unit: draws all missing cells of `"images"`, or single `"cells"`.
    """

    by: Literal["either", "classes", "features"] = "either"
    least: Annotated[float, Field(ge=0, le=1)] = 0.01
    clusters: Annotated[int, Field(ge=1)] = 20
    unit: Literal["images", "cells"] = "images"


@dataclass(frozen=True)
class Stratified:
    """Random picks, keyed by image, from strata that take turns in random order.

    An empty stratum is passed over.

    A dense image shows many classes, and its most frequent class is nearly always one of the same
    few (wall, floor, road). So an image belongs to the class in it that the fewest images of the
    pool show: rare classes get as many picks as frequent ones. All tasks of an image share its
    stratum, also for single cells: a whole image can have only one, and the depth and normals of a
    rare object are rare, too.
    """

    options: Options
    skips_following: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[str]:
        """The statistics that the strata are made of."""
        if self.options.by == "classes":
            return frozenset({CLASSES})
        if self.options.by == "features":
            return frozenset({FEATURES})
        return frozenset({CLASSES, FEATURES})

    @property
    def unit(self) -> PickUnit:
        """The option of this name: cells, or whole images."""
        return self.options.unit

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`.

        A pick's terms are the stratum of its image and the number of images in it.
        """
        grid = pool.grid
        missing = np.any(grid.eligible, axis=1)
        strata = np.full(len(missing), -1)
        size = np.zeros(len(missing), np.intp)
        strata[missing] = self._strata(pool, missing)  # -1 remains where nothing is missing
        names, sizes = np.unique(strata[missing], return_counts=True)
        size[missing] = sizes[np.searchsorted(names, strata[missing])]
        turns = alternate(random_order(len(names), pool.seed, "strata"))
        why = "random of its stratum"
        if self.options.unit == "images":
            draws = draw_images(grid, pool.seed)[:, 0]
            groups = groups_of(names, strata, draws)
            costs = image_costs(grid, budget)
            dealt = deal(groups, turns, costs=costs, keys=grid.keys, amount=budget.amount)
            picks = grid.image_picks((row, score, why) for row, _, score in dealt)
        else:
            draws = draw_cells(grid, pool.seed)
            cell_strata = np.where(grid.eligible, strata[:, None], -1).ravel()
            groups = groups_of(names, cell_strata, draws.ravel())
            dealt = deal_cells(groups, turns, grid, budget)
            picks = grid.cell_picks((item, score, why) for item, _, score in dealt)
        return Selection(
            picks=picks, terms={"stratum": strata, "images in it": size}, without={"strata": draws}
        )

    def _strata(self, pool: PoolView, rows: Bools) -> Places:
        if self.options.by != "features":
            fractions = pool.statistics[CLASSES][rows]
            if self.options.by == "classes" or fractions.any():
                return rarest_classes(fractions, self.options.least)
        features = pool.statistics[FEATURES][rows]
        keys = pool.grid.keys[rows]
        return k_means(features, keys, self.options.clusters, seed_of(pool.seed, "strata"))


def rarest_classes(fractions: AnyFloats, least: float) -> Places:
    """The rarest shown class of each image [n]: the class that the fewest images show.

    An image shows a class if the share of its pixels is at least `least`. An image that shows no
    class belongs to its most frequent one.

    Args:
        fractions: [n, c], each image's share of pixels by class.
        least: the least share of a class that counts.

    Example:
        >>> rarest_classes(np.array([[0.9, 0.1, 0.0], [1.0, 0.0, 0.0], [0.5, 0.495, 0.005]]), 0.01)
        array([1, 0, 1])
    """
    shown = (fractions >= least) & (fractions > 0)
    images = np.where(shown, shown.sum(0), len(fractions) + 1)
    return np.where(shown.any(1), images.argmin(1), fractions.argmax(1))


def build(options: Options) -> Stratified:
    """Build stratified random picks."""
    return Stratified(options)
