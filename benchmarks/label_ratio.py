"""Claim: the label ratios of few-labels.md hold both ways, and that of equal series is seldom below 1.

The ratio is the labels after which a series of arms has the mean loss that another ends with, over
those that the other has by then; its interval is that of drawn seeds. The records are read, and
studies of two series that learn alike are simulated.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _measure import check_limit
from numpy.typing import NDArray

from labelgrid.basics.comparison import first_crossing, interval_tail
from labelgrid.lab.reports.means import label_count
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.lab.reports.study_data import study_report

RECORDS = Path(__file__).resolve().parents[1] / "docs/results/records"
#: The labels of the pairs, which arms with relations pay for and are not trained on.
PAIRS = 20
#: The largest share of equal series whose expanded interval lies below 1, in percent.
FALSE = 5.0
Floats = NDArray[np.float64]
#: Labels [k], and losses [seeds, k] after them.
Series = tuple[Floats, Floats]


def series(results: PointResults, arms: Sequence[str], unused: int = 0) -> Series:
    """The last networks of arms, or all of a single one, as a curve of each seed."""
    curves = []
    for _, runs in sorted(results.finished_by_seed.items()):
        networks = [runs[arm].measured[-1] for arm in arms]
        if len(arms) == 1:
            networks = list(runs[arms[0]].measured)
        curves.append([(label_count(one) + unused, one.loss_mtl) for one in networks])
    labels, losses = np.moveaxis(np.array(curves), 2, 0)
    return labels[0], losses


def ratio(mine: Series, its: Series, seeds: NDArray[np.int64], end: int = -1) -> float:
    """The labels for the other's loss over those that it has; infinite if that is not reached."""
    labels, losses = mine
    goal = float(its[1][seeds, end].mean())
    return first_crossing((labels, losses[seeds].mean(0)), goal, "lower") / float(its[0][end])


def interval(mine: Series, its: Series, draws: int, tail: float) -> tuple[float, float]:
    """The interval of the ratio, by drawn seeds."""
    n = len(mine[1])
    drawn = np.random.default_rng(0).integers(0, n, (draws, n))
    ratios = [ratio(mine, its, seeds) for seeds in drawn]
    low, high = np.quantile(ratios, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def alike(rng: np.random.Generator, labels: Floats) -> Series:
    """A series of ten seeds, by one law for all."""
    return labels, 8 + 15 / np.sqrt(labels) + rng.normal(0, 0.06, (10, len(labels)))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=9999)
    parser.add_argument("--studies", type=int, default=1000, help="of equal series")
    options = parser.parse_args(words)
    claim = study_report(RECORDS / "relations-claim").points[0]
    rooms = study_report(RECORDS / "relations-rooms").points[0]
    arms = ("relations-half", "relations-two-thirds", "relations")
    related = series(claim, arms, PAIRS)
    whole = series(claim, ("images-half", "images"))
    for title, mine, its in (
        ("photographs, relations", related, whole),
        ("rooms, joint", series(rooms, ("joint",)), series(rooms, ("images",))),
    ):
        every = np.arange(len(mine[1]))
        for name, tail in (("plain", 0.025), ("expanded", interval_tail(len(every)))):
            low, high = interval(mine, its, options.draws, tail)
            print(f"{title}: {ratio(mine, its, every):.3f}, {name} {low:.2f} to {high:.2f}")
    every = np.arange(len(whole[1]))
    for end, labels in ((0, related[0][0]), (1, related[0][1])):
        back = ratio(whole, related, every, end)
        print(
            f"whole photographs reach the loss of {labels:.0f} with {labels * back:.0f}: {1 / back:.3f}"
        )
    kept = [
        check_limit(f"equal series below 1, {name} interval", fraction, FALSE, "%")
        for name, fraction in below_one(options.studies, options.draws // 10).items()
    ]
    return 0 if kept[-1] else 1


def below_one(studies: int, draws: int) -> dict[str, float]:
    """How often the intervals of equal series lie below 1, in percent."""
    rng = np.random.default_rng(1)
    tails = {"plain": 0.025, "expanded": interval_tail(10)}
    below = dict.fromkeys(tails, 0)
    for _ in range(studies):
        mine = alike(rng, np.array([120.0, 160.0, 240.0]))
        its = alike(rng, np.array([240.0]))
        for name, tail in tails.items():
            below[name] += interval(mine, its, draws, tail)[1] < 1
    return {name: 100 * count / studies for name, count in below.items()}


if __name__ == "__main__":
    sys.exit(main())
