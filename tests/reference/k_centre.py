"""K-centre greedy by brute force: all distances are recomputed for each pick, in float64."""

from collections.abc import Sequence

import numpy as np


def brute_force(
    features: np.ndarray,
    centres: Sequence[int],
    open_rows: set[int],
    count: int,
    keys: Sequence[int] | None = None,
) -> list[int]:
    """The picked rows, in order; ties are broken by key, which is the row by default."""
    found: list[int] = []
    values, order = features.astype(np.float64), range(len(features)) if keys is None else keys
    for _ in range(count):
        each = [np.square(values - values[centre]).sum(1) for centre in [*centres, *found]]
        nearest = np.min(each, axis=0)
        found.append(max(open_rows - set(found), key=lambda row: (nearest[row], -int(order[row]))))
    return found
