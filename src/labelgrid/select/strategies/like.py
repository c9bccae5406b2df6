"""Like: picks the images that are most like an example.

It finds images of what no label shows yet, and measures nothing. Two images are as much alike as
the cosine of the angle between their pooled features is near 1. It needs the statistic `features`.
`labelgrid query --like IMAGE` gives the example; without one, it is the mean of the images with a
label.
"""

from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Floats
from labelgrid.select.parts import ComposedStrategy, ScorerResult
from labelgrid.select.strategy import PoolView

FEATURES = "features"
#: Rows that are compared at a time.
ROWS = 4096


@dataclass(frozen=True)
class Options:
    """The example's name.

    Args:
        name: the name of the example, for the reasons of picks.
    """

    name: str = ""


def likeness(pool: PoolView) -> ScorerResult:
    """Score all cells of an image by its likeness to the example, from -1 to 1; as `Scorer`.

    Without an example, it is the mean of the images with a label, or of all.
    """
    features = pool.statistics[FEATURES]
    if pool.example is not None:
        example = pool.example.astype(np.float64)
    else:
        finite = np.isfinite(features).all(1)
        bought = finite & pool.grid.bought.any(1)
        rows = np.flatnonzero(bought if bought.any() else finite)
        order = np.argsort(pool.grid.keys[rows])  # so that the order of the pool changes no sum
        example = features[rows[order]].sum(0, dtype=np.float64)
    alike = cosines(features, example)
    scores = np.repeat(alike[:, None], len(pool.grid.tasks), 1)
    return ScorerResult(scores, {"likeness": alike}, shared=True)


def cosines(features: AnyFloats, example: Floats) -> Floats:
    """The cosine [n] of the angle between each row [n, d] and an example [d]; 0 of a zero vector.

    Example:
        >>> cosines(np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), np.array([2.0, 0.0])).round(3)
        array([1.   , 0.707, 0.   ])
    """
    length = np.linalg.norm(example)
    alike = np.zeros(len(features))
    for start in range(0, len(features), ROWS):
        rows = features[start : start + ROWS].astype(np.float64)
        products = (rows * example).sum(1)  # unlike a matrix product, the same in any order of rows
        lengths = np.linalg.norm(rows, axis=1) * length
        alike[start : start + ROWS] = products / np.where(lengths == 0, 1.0, lengths)
    return alike


@dataclass(frozen=True, kw_only=True)
class Like(ComposedStrategy):
    """Picks whole images by `likeness`, also by the features of a network that learnt nothing."""

    cold: bool = True
    skips_following: bool = True


def build(options: Options) -> Like:
    """Build the strategy: whole images, of which a query can be limited to some tasks."""
    return Like(
        needs=frozenset({FEATURES}),
        scorer=likeness,
        unit="images",
        why=f"most like {options.name or 'the example'}",
    )
