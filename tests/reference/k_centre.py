"""K-centre greedy by brute force: all distances are recomputed for each pick, in float64."""

from collections.abc import Sequence

import numpy as np


def brute_force(
    features: np.ndarray, centres: Sequence[int], open_rows: set[int], count: int, keys: Sequence[int] | None = None
) -> list[int]:
    """The picked rows, in order; ties are broken by key, which is the row by default."""
    found: list[int] = []
    values, order = features.astype(np.float64), range(len(features)) if keys is None else keys
    for _ in range(count):

        def far(row: int) -> tuple[float, int]:
            least = min(float(np.square(values[row] - values[centre]).sum()) for centre in [*centres, *found])
            return least, -int(order[row])

        found.append(max(open_rows - set(found), key=far))
    return found
