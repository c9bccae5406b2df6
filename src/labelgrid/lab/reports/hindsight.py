"""Finds the best of several arms after each round, in hindsight.

It is a yardstick such as TCD's EquAL*, and no strategy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from labelgrid.basics.results import mean_and_deviation
from labelgrid.basics.words import join_names
from labelgrid.lab.reports.means import RoundMean, ValueGetter, round_mean, total_loss
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.project.records import Measurement
from labelgrid.report.page_blocks import Block, Column, DataTable, Text, Value, number_columns


@dataclass(frozen=True)
class BestArm:
    """The best arm after a number of rounds.

    Args:
        rounds_bought: the number of rounds, from 0.
        arm: its name.
        networks: the arm's networks after that round, for each seed in which all arms reached the
            round.
    """

    rounds_bought: int
    arm: str
    networks: Sequence[Measurement]

    def mean(self, value_of: ValueGetter) -> RoundMean:
        """The mean of a value over these networks."""
        return round_mean(self.rounds_bought, self.networks, value_of)


def best_by_round(results: PointResults, arms: Sequence[str]) -> list[BestArm]:
    """The arm with the lowest mean loss_mtl after each round.

    The mean is over the seeds in which all arms got this far. It decides, as in the papers' tables:
    the best arm of each seed would often be the luckiest one.
    """
    best_arms: list[BestArm] = []
    for bought in count():
        networks = {arm: _networks_after(results, arm, bought) for arm in arms}
        seeds = sorted(set.intersection(*(set(by_seed) for by_seed in networks.values())))
        if not seeds:
            return best_arms
        means = {}
        for arm, by_seed in networks.items():
            means[arm], _ = mean_and_deviation([by_seed[seed].loss_mtl for seed in seeds])
        best = min(means, key=means.__getitem__)
        best_arms.append(BestArm(bought, best, [networks[best][seed] for seed in seeds]))
    return best_arms


def _networks_after(results: PointResults, arm: str, bought: int) -> dict[int, Measurement]:
    """The networks of an arm after a number of rounds, by seed.

    Those without a finite loss are left out.
    """
    networks = {}
    for seed, run in results.of(arm).items():
        if len(run.measured) > bought and math.isfinite(run.measured[bought].loss_mtl):
            networks[seed] = run.measured[bought]
    return networks


def hindsight_lines(results: PointResults, value_of: ValueGetter) -> dict[str, list[RoundMean]]:
    """The means of a value by round, for each `best_of` of the study.

    The names say that they are no strategies.
    """
    lines = {}
    for name, arms in results.best_of.items():
        means = [best.mean(value_of) for best in best_by_round(results, arms)]
        lines[f"{name} (in hindsight)"] = [mean for mean in means if mean.seeds]
    return lines


def hindsight_texts(results: PointResults) -> list[Block]:
    """Say for each `best_of` how the arm was chosen."""
    texts: list[Block] = []
    for name, arms in results.best_of.items():
        text = Text(
            f"{name} is no strategy: after each round it is the arm with the lowest mean loss_mtl "
            f"of {join_names(arms)}. It is chosen in hindsight by the test metrics, so it is in "
            "the curves only and in no comparison.",
            "small",
        )
        texts.append(text)
    return texts


def hindsight_blocks(results: PointResults) -> list[Block]:
    """The texts on each `best_of`, and a table of the chosen arms."""
    rows = []
    for name, arms in results.best_of.items():
        for best in best_by_round(results, arms):
            mean = best.mean(total_loss)
            row: list[Value] = [name, mean.rounds_bought, best.arm, mean.labels]
            rows.append([*row, mean.cost, mean.value, mean.seeds])
    if not rows:
        return []
    columns = [
        Column("in hindsight"),
        *number_columns("rounds bought"),
        Column("best arm"),
        *number_columns("labels", "cost", "loss_mtl, mean", "seeds"),
    ]
    return [*hindsight_texts(results), DataTable(columns, rows)]
