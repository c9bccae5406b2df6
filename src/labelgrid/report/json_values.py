"""Converts the measures of a study's page to JSON values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from labelgrid.drawings.wording import spread
from labelgrid.report.campaign_measures import DELTA_MTL, CampaignMeasure
from labelgrid.report.final_networks import LAST
from labelgrid.report.hindsight import BestArm, best_by_round
from labelgrid.report.means import metric_getter, total_loss
from labelgrid.report.study_content import PointResults, StudyReport
from labelgrid.results import replace_non_finite


def study_values(
    report: StudyReport, measures: Sequence[Sequence[CampaignMeasure]]
) -> dict[str, Any]:
    """All comparisons by point of the study's grid, and the unfinished runs."""
    return {
        "study": report.name,
        "points": [
            _point_results(*point, report.headlines)
            for point in zip(report.points, measures, strict=True)
        ],
        "notes": list(report.notes),
        "unfinished": [
            {"run": run.key, "point": run.point, "state": run.state, "fault": run.fault}
            for run in report.runs
            if run.state != "done"
        ],
    }


def _point_results(
    results: PointResults, measures: Sequence[CampaignMeasure], headlines: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "point": results.point,
        "strategies": list(results.strategies),
        "measures": [_measure(measure) for measure in measures],
        "best_in_hindsight": {
            name: {
                "arms": list(arms),
                "rounds": [_best(best, headlines) for best in best_by_round(results, arms)],
            }
            for name, arms in results.best_of.items()
        },
    }


def _best(best: BestArm, headlines: Mapping[str, str]) -> dict[str, Any]:
    """The best arm of a round, its mean loss, and its means of each task's headline metric."""
    tasks = {
        task: {name: best.mean(metric_getter(task, name)).value} for task, name in headlines.items()
    }
    overall = asdict(best.mean(total_loss))
    value = overall.pop("value")
    return {"arm": best.arm, **replace_non_finite({**overall, "loss_mtl": value, "tasks": tasks})}


def _measure(measure: CampaignMeasure) -> dict[str, Any]:
    strategy_table: dict[str, Any] = {}
    for strategy, seeds in measure.values.items():
        mean, deviation, _ = measure.summary(strategy)
        values = {str(seed): value for seed, value in seeds.items()}
        strategy_table[strategy] = {
            "mean": replace_non_finite(mean),
            "deviation": replace_non_finite(deviation),
            "seeds": values,
        }
    return {
        "name": measure.name,
        "unit": measure.unit,
        "better": measure.better,
        "strategies": strategy_table,
        "pairs": [
            {"first": first, "second": second, **asdict(compared)}
            for (first, second), compared in measure.pairs().items()
        ],
    }


def delta_mtl_rows(values: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of a table of delta_mtl after the last round, of a study's values.

    A row is a strategy (at a point of the study's grid), a column a reference: mean ± standard
    deviation over seeds, in %. Both lists are empty for a project, and for a study without
    references.
    """
    names: dict[str, str] = {}
    found = []
    for point in values.get("points", ()):
        measures = [
            m
            for m in point["measures"]
            if m["name"].startswith(DELTA_MTL) and m["name"].endswith(LAST)
        ]
        names |= {
            m["name"]: m["name"].removesuffix(LAST).removeprefix(DELTA_MTL).strip()
            for m in measures
        }
        for strategy in point["strategies"]:
            own = {m["name"]: m["strategies"].get(strategy) for m in measures}
            found.append((strategy, point["point"], own))
    if not names:
        return [], []
    points = any(point for _, point, _ in found)
    columns = [
        "strategy",
        *(["point"] if points else []),
        *(name or "over every label" for name in names.values()),
    ]
    cells = ([_summary(own.get(name)) for name in names] for _, _, own in found)
    heads = ([strategy, *([point] if points else [])] for strategy, point, _ in found)
    return columns, [[*head, *row] for head, row in zip(heads, cells, strict=True)]


def _summary(strategy: Mapping[str, Any] | None) -> str:
    """Mean and standard deviation as text; a dash without a seed."""
    if not strategy or strategy["mean"] is None:
        return "–"
    return spread(
        strategy["mean"], math.nan if strategy["deviation"] is None else strategy["deviation"]
    )
