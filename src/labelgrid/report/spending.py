"""Tabulates the labels that each strategy of a study bought, and their cost, round by round."""

from collections.abc import Mapping

from labelgrid.project.records import Measurement
from labelgrid.report.blocks import Column, DataTable, Value, number_columns
from labelgrid.report.study_content import PointResults
from labelgrid.results import mean_and_deviation


def spending_table(results: PointResults, label_costs: Mapping[str, float]) -> DataTable:
    """The labels of each task that the networks were trained on, and their cost.

    Means over seeds.
    """
    columns = [
        Column("strategy"),
        *number_columns("rounds bought", "seeds"),
        *number_columns(*(f"{t} labels" for t in label_costs)),
    ]
    columns += number_columns("all labels", *(f"{t} cost" for t in label_costs), "all cost")
    rows: list[list[Value]] = []
    for strategy in results.strategies:
        runs = list(results.of(strategy).values())
        for index in range(max((len(run.measured) for run in runs), default=0)):
            reached = [run.measured[index] for run in runs if len(run.measured) > index]
            labels = {task: _mean_labels(reached, task) for task in label_costs}
            costs = [labels[task] * cost for task, cost in label_costs.items()]
            spent = mean_and_deviation([one.spent for one in reached])[0]
            rows.append(
                [
                    strategy,
                    index,
                    len(reached),
                    *labels.values(),
                    sum(labels.values()),
                    *costs,
                    spent,
                ]
            )
    return DataTable(columns, rows)


def _mean_labels(measured: list[Measurement], task: str) -> float:
    return mean_and_deviation([float(one.labels.get(task, 0)) for one in measured])[0]
