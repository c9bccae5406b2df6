"""Claim: EquAL's leads on straight lines in the test on rooms, at equal cost, are there on other curves.

The comparisons of `strategies-test` at equal cost, with parabolas through each run's last three
rounds in place of straight lines; and the mean loss over cost, with monotone cubics. Reports give no
verdict on these leads: it would have to hold for every curve that flattens.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from labelgrid.basics.comparison import compare
from labelgrid.basics.results import Better
from labelgrid.lab.reports.means import delta_mtl_getter
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.lab.reports.study_data import study_report
from labelgrid.report.content import Measurement

RECORDS = Path(__file__).resolve().parents[1] / "docs/results/records/strategies-test"
#: The leads that must stay significant.
LOSS = {("equal-cells", "random_images"), ("equal-cells", "stratified")}
DELTA = {("equal-cells", name) for name in ("random_cells", "random_images", "stratified")}
#: Values by strategy, of the same seeds in the same order.
Values = Mapping[str, Sequence[float]]


def at_equal_cost(results: PointResults, value: Callable[[int, Measurement], float]) -> Values:
    """The value of each strategy and seed where the seed's cheapest run ends, on a parabola."""
    values: dict[str, list[float]] = {name: [] for name in results.strategies}
    for seed, runs in results.finished_by_seed.items():
        cost = min(run.measured[-1].spent for run in runs.values())
        for name, run in runs.items():
            last = run.measured[-3:]
            costs = [one.spent for one in last]
            parabola = np.polyfit(costs, [value(seed, one) for one in last], 2)
            values[name].append(float(np.polyval(parabola, cost)))
    return values


def mean_over_cost(results: PointResults) -> Values:
    """The mean loss of each strategy and seed over the costs that all of the seed have in common, on cubics."""
    values: dict[str, list[float]] = {name: [] for name in results.strategies}
    for runs in results.finished_by_seed.values():
        start = max(run.measured[0].spent for run in runs.values())
        end = min(run.measured[-1].spent for run in runs.values())
        for name, run in runs.items():
            costs = [one.spent for one in run.measured]
            cubic = PchipInterpolator(costs, [one.loss_mtl for one in run.measured])
            values[name].append(float(cubic.integrate(start, end)) / (end - start))
    return values


def significant(title: str, values: Values, better: Better) -> set[tuple[str, str]]:
    """Print and return the significant pairs, the better one first."""
    pairs = {(a, b): (values[a], values[b]) for a, b in combinations(values, 2)}
    passing = set()
    for (first, second), pair in compare(pairs, better).items():
        if pair.is_difference:
            passing.add((first, second) if pair.verdict == "better" else (second, first))
    print(title, *(f"{a} > {b}" for a, b in sorted(passing)), sep="\n  ")
    return passing


def main() -> int:
    report = study_report(RECORDS)
    results = report.points[0]
    gain = delta_mtl_getter(results.full, report.headlines)
    loss = significant(
        "loss_mtl, parabolas", at_equal_cost(results, lambda _, one: one.loss_mtl), "lower"
    )
    delta = significant("delta_mtl, parabolas", at_equal_cost(results, gain), "higher")
    significant("mean loss_mtl over cost, cubics", mean_over_cost(results), "lower")
    return 0 if loss >= LOSS and delta >= DELTA else 1


if __name__ == "__main__":
    raise SystemExit(main())
