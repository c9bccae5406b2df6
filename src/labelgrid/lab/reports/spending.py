"""Tabulates the labels that each strategy of a study bought, and their cost, round by round."""

from collections.abc import Mapping

from labelgrid.basics.results import mean_and_deviation
from labelgrid.lab.reports.means import networks_by_round
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.project.records import Measurement
from labelgrid.report.blocks import Column, DataTable, Value, number_columns


def spending_table(results: PointResults, label_costs: Mapping[str, float]) -> DataTable:
    """The labels of each task that the networks were trained on, and their cost.

    Means over seeds.
    """
    label_names = [f"{task} labels" for task in label_costs]
    cost_names = [f"{task} cost" for task in label_costs]
    columns = [
        Column("strategy"),
        *number_columns("rounds bought", "seeds"),
        *number_columns(*label_names, "all labels"),
        *number_columns(*cost_names, "all cost"),
    ]
    rows: list[list[Value]] = []
    for strategy in results.strategies:
        by_round = networks_by_round(results.of(strategy).values())
        for bought, networks in enumerate(by_round):
            labels = []
            costs = []
            for task, cost in label_costs.items():
                count = _mean_labels(networks, task)
                labels.append(count)
                costs.append(count * cost)
            spent, _ = mean_and_deviation([network.spent for network in networks])
            row: list[Value] = [strategy, bought, len(networks)]
            rows.append([*row, *labels, sum(labels), *costs, spent])
    return DataTable(columns, rows)


def _mean_labels(measured: list[Measurement], task: str) -> float:
    mean, _ = mean_and_deviation([float(network.labels.get(task, 0)) for network in measured])
    return mean
