"""What the strategies of a study bought: labels by task and their cost, round by round."""

from collections.abc import Mapping

from labelgrid.report.blocks import Column, Table, Value, numeric
from labelgrid.report.content import Measured
from labelgrid.report.findings import mean_of
from labelgrid.report.trials import PointResults


def bought(trial: PointResults, prices: Mapping[str, float]) -> Table:
    """Means over seeds: labels of each task that a network learned from, and what they had cost."""
    columns = [Column("strategy"), *numeric("rounds bought", "seeds"), *numeric(*(f"{t} labels" for t in prices))]
    columns += numeric("all labels", *(f"{t} cost" for t in prices), "all cost")
    rows: list[list[Value]] = []
    for strategy in trial.strategies:
        runs = list(trial.of(strategy).values())
        for place in range(max((len(run.measured) for run in runs), default=0)):
            there = [run.measured[place] for run in runs if len(run.measured) > place]
            labels = {task: _mean(there, task) for task in prices}
            costs = [labels[task] * price for task, price in prices.items()]
            spent = mean_of([one.spent for one in there])[0]
            rows.append([strategy, place, len(there), *labels.values(), sum(labels.values()), *costs, spent])
    return Table(columns, rows)


def _mean(there: list[Measured], task: str) -> float:
    return mean_of([float(one.labels.get(task, 0)) for one in there])[0]
