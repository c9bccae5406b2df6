"""Laws of means over seeds: of the runs that got so far, and of the values that are numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest

from labelgrid.lab.reports.means import means_by_round, metric_getter, total_loss
from tests.unit.report.made import network, nothing, runs


def test_a_mean_is_over_the_runs_that_got_so_far() -> None:
    own = [run for run in runs(["a"], 3, nothing) if run.kind == "strategy"]
    own[0] = replace(own[0], measured=own[0].measured[:2])
    found = means_by_round(own, total_loss)
    assert [(m.rounds_bought, m.seeds, m.labels, m.cost) for m in found] == [
        (0, 3, 20, 110),
        (1, 3, 30, 165),
        (2, 2, 40, 220),
        (3, 2, 50, 275),
    ]
    values = [run.measured[2].loss_mtl for run in own[1:]]
    assert found[2].value == pytest.approx(np.mean(values))
    assert found[2].deviation == pytest.approx(np.std(values, ddof=1))
    assert math.isnan(means_by_round(own[:1], total_loss)[0].deviation)


def test_a_value_that_is_no_number_counts_in_no_mean() -> None:
    own = [run for run in runs(["a"], 2, nothing) if run.kind == "strategy"]
    own[0] = replace(own[0], measured=[network(0, math.nan), *own[0].measured[1:]])
    assert [m.seeds for m in means_by_round(own, total_loss)] == [1, 2, 2, 2]
    assert means_by_round(own, metric_getter("semseg", "no such metric")) == []
