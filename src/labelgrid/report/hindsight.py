"""Finds the best of several arms after each round, in hindsight: a yardstick such as TCD's EquAL*, and no strategy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from labelgrid.project.records import Measurement
from labelgrid.report.blocks import Block, Column, DataTable, Text, Value, number_columns
from labelgrid.report.means import RoundMean, ValueGetter, round_mean, total_loss
from labelgrid.report.study_content import PointResults
from labelgrid.results import mean_and_deviation
from labelgrid.words import join_names


@dataclass(frozen=True)
class BestArm:
    """The best arm after a number of rounds.

    Args:
        rounds_bought: the number of rounds, from 0.
        arm: its name.
        networks: its networks after that round, one for each seed in which all arms got this far.
    """

    rounds_bought: int
    arm: str
    networks: Sequence[Measurement]

    def mean(self, value_of: ValueGetter) -> RoundMean:
        """The mean of a value over these networks."""
        return round_mean(self.rounds_bought, self.networks, value_of)


def best_by_round(results: PointResults, arms: Sequence[str]) -> list[BestArm]:
    """The arm with the lowest mean loss_mtl after each round, over the seeds in which all arms got this far.

    The mean over seeds decides, as in the papers' tables. The best arm of each seed would often be
    the luckiest one.
    """
    found: list[BestArm] = []
    for bought in count():
        networks = {arm: _after(results, arm, bought) for arm in arms}
        seeds = sorted(set.intersection(*(set(own) for own in networks.values())))
        if not seeds:
            return found
        means = {
            arm: mean_and_deviation([own[seed].loss_mtl for seed in seeds])[0]
            for arm, own in networks.items()
        }
        best = min(means, key=means.__getitem__)
        found.append(BestArm(bought, best, [networks[best][seed] for seed in seeds]))
    return found


def _after(results: PointResults, arm: str, bought: int) -> dict[int, Measurement]:
    """By seed, the networks of an arm after a number of rounds.

    Those without a finite loss are left out.
    """
    known = {
        seed: run.measured[bought]
        for seed, run in results.of(arm).items()
        if len(run.measured) > bought
    }
    return {seed: one for seed, one in known.items() if math.isfinite(one.loss_mtl)}


def hindsight_lines(results: PointResults, value_of: ValueGetter) -> dict[str, list[RoundMean]]:
    """The means of a value by round, for each `best_of` of the study.

    The names say that they are no strategies.
    """
    lines = {
        f"{name} (in hindsight)": [best.mean(value_of) for best in best_by_round(results, arms)]
        for name, arms in results.best_of.items()
    }
    return {name: [mean for mean in means if mean.seeds] for name, means in lines.items()}


def hindsight_texts(results: PointResults) -> list[Block]:
    """What each `best_of` is."""
    return [
        Text(
            f"{name} is no strategy: after each round it is the arm with the lowest mean loss_mtl of {join_names(arms)}. "
            "It is chosen in hindsight by the test metrics, so it is in the curves only and in no comparison.",
            "small",
        )
        for name, arms in results.best_of.items()
    ]


def hindsight_blocks(results: PointResults) -> list[Block]:
    """What each `best_of` is, and a table of the arms that were chosen."""
    rows: list[list[Value]] = []
    for name, arms in results.best_of.items():
        for best in best_by_round(results, arms):
            mean = best.mean(total_loss)
            rows.append(
                [name, mean.rounds_bought, best.arm, mean.labels, mean.cost, mean.value, mean.seeds]
            )
    if not rows:
        return []
    bought, *rest = number_columns("rounds bought", "labels", "cost", "loss_mtl, mean", "seeds")
    return [
        *hindsight_texts(results),
        DataTable([Column("in hindsight"), bought, Column("best arm"), *rest], rows),
    ]
