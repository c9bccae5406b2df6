"""Laws of the table of labels by which arms reach the values of a run."""

import math

import numpy as np
import pytest

from labelgrid.lab.simulation.study_results import Outcome
from tools.table_about import RatiosTable
from tools.table_ratios import RatioRows, crossing
from tools.table_records import Records, TableError

PAID = np.array([10.0, 20.0, 40.0])
SPEC = RatiosTable(title="", goal="all", runs=("few", "many"), unused_labels=2, unused_cost=4)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([4.0, 3.0, 1.0, 3.5], 15.0),
        ([4.0, 3.0, 1.0, 2.0], 30.0),
        ([4.0, 3.0, 1.0, 5.0], 10.0),  # the first arm is better: not less than it
        ([4.0, 3.0, 2.0, 1.0], 60.0),  # on the last line
        ([4.0, 3.0, 3.0, 1.0], math.inf),
        ([4.0, 2.0, 3.0, 2.0], 20.0),  # the first place
    ],
)
def test_a_goal_is_reached_where_straight_lines_cross_it(
    values: list[float], wanted: float
) -> None:
    assert crossing(PAID, np.array(values)) == wanted


def outcomes(run: str, labels: int, values: dict[str, list[float]]) -> list[Outcome]:
    made = []
    for metric, by_seed in values.items():
        task, _, name = metric.rpartition(" ")
        for seed, value in enumerate(by_seed):
            outcome = Outcome(
                kind="strategy",
                strategy=run,
                seed=seed,
                point="",
                round=0,
                labels=labels,
                task_labels=labels,
                cost=2.0 * labels,
                task=task or "all",
                metric=name,
                value=value,
                unit="",
                better="higher" if name == "AP" else "lower",
            )
            made.append(outcome)
    return made


def records(seeds: int = 2) -> Records:
    return Records(
        [
            *outcomes("all", 20, {"loss_mtl": [3.0] * seeds, "edges AP": [50.0] * seeds}),
            *outcomes("few", 8, {"loss_mtl": [4.0, 4.0], "edges AP": [30.0, 30.0]}),
            *outcomes("many", 18, {"loss_mtl": [2.0, 2.0], "edges AP": [40.0, 40.0]}),
        ]
    )


def test_each_metric_has_its_own_ratio_of_labels_and_of_cost() -> None:
    """Ten labels and twenty are paid, and twenty and forty of cost."""
    text = RatioRows(records=records(), spec=SPEC, metrics=["edges AP"]).markdown()
    assert "| loss_mtl | 0.75 | 0.75 to 0.75 | 0.75 | 0.75 to 0.75 |" in text
    assert "| edges AP | 1.50 | 1.50 to 1.50 | 1.50 | 1.50 to 1.50 |" in text


def test_runs_of_other_seeds_are_refused() -> None:
    with pytest.raises(TableError, match="'few' and 'all' have other seeds"):
        RatioRows(records=records(3), spec=SPEC, metrics=[]).markdown()
