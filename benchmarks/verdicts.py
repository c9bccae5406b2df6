"""Claim: equal strategies seldom get a verdict, and one better by a standard deviation mostly does.

Simulates studies, as numbers alone, and compares them by the measures of the real report. Each
strategy learns by one law, loss = 4 + 60 / sqrt(labels), from 100 labels to 700, and shares its
first network with the others. Labels of each run have a price of their own. Noise is a share of what
the last 100 labels gain; "better by one" lowers a strategy's loss after each round by the standard
deviation of its paired difference to another. Intervals, which enter no verdict, are not computed.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from unittest.mock import patch

import numpy as np
from _measure import check_limit
from numpy.typing import ArrayLike

from labelgrid.basics.results import Result
from labelgrid.lab.reports.campaign_measures import campaign_measures
from labelgrid.lab.reports.study_content import PointResults, RunResult
from labelgrid.project.records import Measurement

#: The most false verdicts in any case by any measure, and over all; in percent.
FALSE_IN_A_CASE = 7.0
FALSE_OVER_ALL = 5.5
#: How often one of two strategies that is better by one is found with 10 seeds; in percent.
FOUND = 60.0
#: In the names of measures that read curves between rounds, where a verdict needs more.
BETWEEN_ROUNDS = "cost"
HEADLINES = {"depth": "RMSE"}
#: The loss of a network with every label, and the number of labels at the end.
EVERY = 5.0
LAST = 700
#: What the last 100 labels gain.
LAST_GAIN = 60 / 600**0.5 - 60 / LAST**0.5
#: The standard deviation of the seeds' levels, which all strategies of a seed share, in noises.
SEED_LEVEL = 3.0
#: By strategy, the labels of a round and those at the end.
ROUNDS: Mapping[str, Sequence[tuple[int, int]]] = {
    "equal": ((100, LAST), (100, LAST), (100, LAST)),
    "unequal": ((100, LAST), (300, LAST), (100, LAST)),
    "unequal, longer": ((100, LAST - 100), (300, LAST), (100, LAST - 100)),
}
NOISES = (1 / 3, 2.0)
ARMS = ("first", "second", "third")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Studies of one kind.

    Args:
        seeds: of each strategy.
        rounds: the key of `ROUNDS`.
        noise: the standard deviation of a network's loss, as a share of the last gain.
        arms: the number of strategies.
        ties: whether losses are rounded to one noise.
        missing: the share of runs that did not end.
        better: how much better the first strategy is, in standard deviations.
    """

    seeds: int
    rounds: str = "equal"
    noise: float = 1.0
    arms: int = 2
    ties: bool = False
    missing: float = 0.0
    better: float = 0.0

    @property
    def name(self) -> str:
        """What sets it apart, in words."""
        words = [f"{self.seeds} seeds", f"rounds {self.rounds}", f"noise {self.noise:.2g}"]
        if self.arms > 2:
            words.append(f"{self.arms} strategies")
        if self.ties:
            words.append("ties")
        if self.better:
            words.append("better" if self.better > 0 else "worse")
        if self.missing:
            words.append(f"{100 * self.missing:.0f} % of the runs missing")
        return ", ".join(words)


def null_cases() -> Iterator[Case]:
    """Cases of equal strategies."""
    for seeds, rounds, noise in product((6, 8, 10, 12), ROUNDS, NOISES):
        yield Case(seeds=seeds, rounds=rounds, noise=noise)
    for rounds in ("equal", "unequal"):
        yield Case(seeds=10, rounds=rounds, ties=True)
        yield Case(seeds=12, rounds=rounds, missing=0.2)
        yield Case(seeds=8, rounds=rounds, arms=3)


def power_cases() -> Iterator[Case]:
    """Cases of a first strategy that is better, or worse."""
    for rounds, noise in product(ROUNDS, NOISES):
        yield Case(seeds=10, rounds=rounds, noise=noise, better=1.0)
    yield Case(seeds=10, better=-1.0)
    yield Case(seeds=10, arms=3, better=1.0)


def studies(case: Case, count: int) -> Iterator[PointResults]:
    """The studies of a case, always the same ones."""
    rng = np.random.default_rng([case.seeds, len(case.rounds), case.arms, round(9 * case.noise)])
    for _ in range(count):
        yield study(case, rng)


def study(case: Case, rng: np.random.Generator) -> PointResults:
    """A study; each strategy has a run for each seed, but for missing ones."""
    names = ARMS[: case.arms]
    noise = case.noise * LAST_GAIN
    runs = []
    for seed in range(case.seeds):
        level = rng.normal(0, SEED_LEVEL * noise)
        first = 10 + level + rng.normal(0, noise)
        for name, (step, last) in zip(names, ROUNDS[case.rounds], strict=False):
            labels = np.arange(100, last + 1, step)
            losses = 4 + 60 / np.sqrt(labels) + level + rng.normal(0, noise, len(labels))
            losses -= np.sqrt(2) * noise * case.better * (name == "first")
            losses[0] = first
            if case.ties:
                losses = np.round(losses / noise) * noise
            prices = rng.uniform(0.8, 1.2, len(labels))
            costs = 100.0 + np.cumsum(np.diff(labels, prepend=100) * prices)
            if rng.random() >= case.missing:
                runs.append(_run(name, seed, labels=labels, costs=costs, losses=losses))
        every = {"labels": [LAST], "costs": [LAST], "losses": [EVERY + level]}
        runs.append(replace(_run("full", seed, **every), kind="full"))
    return PointResults(point="", strategies=names, runs=runs)


def _run(name: str, seed: int, **curves: ArrayLike) -> RunResult:
    measured = []
    for labels, cost, loss in np.transpose(list(curves.values())).tolist():
        measured.append(network(int(labels), cost=cost, loss=loss))
    return RunResult(
        key=f"{name}-{seed}", kind="strategy", strategy=name, seed=seed, measured=measured
    )


def network(labels: int, cost: float, loss: float) -> Measurement:
    """A network; its RMSE is its loss."""
    return Measurement(
        round=labels,
        model="",
        labels={"depth": labels},
        spent=cost,
        heldout_labels={},
        metrics={"depth": {"RMSE": Result("RMSE", loss, "m", "lower")}},
        loss_mtl=loss,
    )


def verdicts(case: Case, count: int) -> dict[str, Counter[str]]:
    """By measure, in how many studies it has a test, and in how many it gave which verdicts.

    Of equal strategies those on any pair count; where the first is better, those on the first two.
    """
    counts: dict[str, Counter[str]] = {}
    with patch("labelgrid.basics.comparison.bootstrap_interval", lambda values, seed: (0.0, 0.0)):
        for results in studies(case, count):
            for measure in campaign_measures(results, HEADLINES):
                pairs = measure.pairs
                if case.better:
                    pairs = {pair: one for pair, one in pairs.items() if pair == ARMS[:2]}
                counted = counts.setdefault(measure.name, Counter())
                counted.update({one.verdict for one in pairs.values() if one.is_difference})
                counted["any"] += any(one.is_difference for one in pairs.values())
                counted["tested"] += measure.is_tested
    return counts


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="of each case")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(words)
    cases = [*null_cases(), *power_cases()]
    if options.processes > 1:
        with ProcessPoolExecutor(options.processes) as pool:
            counts = list(pool.map(verdicts, cases, [options.studies] * len(cases)))
    else:
        counts = [verdicts(case, options.studies) for case in cases]
    rates: dict[Case, dict[str, float]] = {}
    for case, counted in zip(cases, counts, strict=True):
        tested = {name: one for name, one in counted.items() if one["tested"]}
        rates[case] = {name: 100 * one["any"] / options.studies for name, one in tested.items()}
    null = {case: values for case, values in rates.items() if not case.better}
    power = {case: values for case, values in rates.items() if case.better}
    show("False verdicts on equal strategies, in percent of the studies", null)
    show("Verdicts on a strategy that is better, or worse, in percent of the studies", power)
    false = [rate for values in null.values() for rate in values.values()]
    true = [rate for case, values in power.items() for rate in measured_at_once(case, values)]
    kept = [
        check_limit(
            "most false verdicts in a case, by any measure", max(false), FALSE_IN_A_CASE, "%"
        ),
        check_limit("false verdicts over all", float(np.mean(false)), FALSE_OVER_ALL, "%"),
        check_limit("found at 10 seeds, least by any measure", min(true), FOUND, "%", least=True),
    ]
    return 0 if all(kept) else 1


def measured_at_once(case: Case, rates: Mapping[str, float]) -> list[float]:
    """The shares of measures that read no curve between rounds, of two strategies."""
    two = case.arms == 2 and case.rounds != "unequal, longer"
    return [rate for name, rate in rates.items() if two and BETWEEN_ROUNDS not in name]


def show(title: str, rates: Mapping[Case, Mapping[str, float]]) -> None:
    """Print a Markdown table: a row for each case, a column for each measure."""
    names = list(dict.fromkeys(name for values in rates.values() for name in values))
    print(f"{title}:\n\n| case | {' | '.join(names)} |")
    print("|" + " --- |" * (len(names) + 1))
    for case, values in rates.items():
        cells = [f"{values[name]:.1f}" if name in values else "–" for name in names]
        print(f"| {case.name} | {' | '.join(cells)} |")
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
