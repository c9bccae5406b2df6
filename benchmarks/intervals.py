"""Claim: the 95 % interval of 6 or more normal differences holds their mean in 92 % of draws or more."""

import argparse
import sys
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.comparison import bootstrap_interval

BAR = 0.92
SEEDS = (6, 8, 12, 20)
#: How differences are drawn; the mean of each is 0.
DRAWS: Mapping[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "lognormal": lambda rng, n: rng.lognormal(size=n) - np.exp(0.5),
}


def coverage(name: str, seeds: int, draws: int) -> float:
    """The share of draws whose interval holds the mean."""
    rng = np.random.default_rng([seeds, draws])
    intervals = (bootstrap_interval(DRAWS[name](rng, seeds), draw) for draw in range(draws))
    return float(np.mean([low <= 0 <= high for low, high in intervals]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    fractions = {name: [coverage(name, seeds, draws) for seeds in SEEDS] for name in DRAWS}
    for name, row in fractions.items():
        cells = ", ".join(
            f"{seeds} seeds {100 * part:.1f} %" for seeds, part in zip(SEEDS, row, strict=True)
        )
        print(f"{name:12} {cells}")
    kept = min(fractions["normal"]) >= BAR
    print(
        f"The bar of {100 * BAR:.0f} % for normal differences {'holds' if kept else 'does not hold'}."
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
