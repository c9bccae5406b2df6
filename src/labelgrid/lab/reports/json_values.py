"""Converts the measures of a study's page to JSON values."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from labelgrid.basics.results import replace_non_finite
from labelgrid.basics.type_names import Json, Values
from labelgrid.drawings.wording import spread
from labelgrid.lab.reports.campaign_measures import DELTA_MTL
from labelgrid.lab.reports.final_networks import LAST
from labelgrid.lab.reports.hindsight import BestArm, best_by_round
from labelgrid.lab.reports.means import metric_getter, total_loss
from labelgrid.lab.reports.measure import CampaignMeasure
from labelgrid.lab.reports.study_content import Headlines, PointResults, StudyReport


def study_values(report: StudyReport, measures: Sequence[Sequence[CampaignMeasure]]) -> Json:
    """All comparisons by point of the study's grid, and the unfinished runs."""
    points = []
    for results, point_measures in zip(report.points, measures, strict=True):
        points.append(_point_results(results, point_measures, report.headlines))
    unfinished = []
    for run in report.runs:
        if run.state != "done":
            row = {"run": run.key, "point": run.point, "state": run.state, "fault": run.fault}
            unfinished.append(row)
    return {
        "study": report.name,
        "points": points,
        "notes": list(report.notes),
        "unfinished": unfinished,
    }


def _point_results(
    results: PointResults, measures: Sequence[CampaignMeasure], headlines: Headlines
) -> Json:
    in_hindsight = {}
    for name, arms in results.best_of.items():
        rounds = [_best(best, headlines) for best in best_by_round(results, arms)]
        in_hindsight[name] = {"arms": list(arms), "rounds": rounds}
    return {
        "point": results.point,
        "strategies": list(results.strategies),
        "measures": [_measure(measure) for measure in measures],
        "best_in_hindsight": in_hindsight,
    }


def _best(best: BestArm, headlines: Headlines) -> Json:
    tasks = {}
    for task, name in headlines.items():
        tasks[task] = {name: best.mean(metric_getter(task, name)).value}
    overall = asdict(best.mean(total_loss))
    value = overall.pop("value")
    return {"arm": best.arm, **replace_non_finite({**overall, "loss_mtl": value, "tasks": tasks})}


def _measure(measure: CampaignMeasure) -> Json:
    strategy_table = {}
    for strategy, seeds in measure.values.items():
        mean, deviation, _ = measure.summary(strategy)
        strategy_table[strategy] = {
            "mean": replace_non_finite(mean),
            "deviation": replace_non_finite(deviation),
            "seeds": {str(seed): value for seed, value in seeds.items()},
        }
    pairs = []
    for (first, second), compared in measure.pairs.items():
        pairs.append({"first": first, "second": second, **replace_non_finite(asdict(compared))})
    return {
        "name": measure.name,
        "unit": measure.unit,
        "better": measure.better,
        "strategies": strategy_table,
        "pairs": pairs,
    }


def delta_mtl_rows(values: Values) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of a table of delta_mtl after the last round, of a study's values.

    A row is a strategy (at a point of the study's grid), a column a reference: mean ± standard
    deviation over seeds, in %. Both lists are empty for a project, and for a study without
    references.
    """
    columns = {}
    points = values.get("points", ())
    for point in points:
        for measure in point["measures"]:
            name = measure["name"]
            if name.startswith(DELTA_MTL) and name.endswith(LAST):
                reference = name.removesuffix(LAST).removeprefix(DELTA_MTL).strip()
                columns[name] = reference or "over every label"
    if not columns:
        return [], []
    has_points = any(point["strategies"] and point["point"] for point in points)
    heads = ["strategy", "point"] if has_points else ["strategy"]
    rows = []
    for point in points:
        measures = {measure["name"]: measure["strategies"] for measure in point["measures"]}
        for strategy in point["strategies"]:
            row = [strategy, point["point"]] if has_points else [strategy]
            row += [_summary(measures.get(name, {}).get(strategy)) for name in columns]
            rows.append(row)
    return [*heads, *columns.values()], rows


def _summary(strategy: Values | None) -> str:
    if not strategy or strategy["mean"] is None:
        return "–"  # without a seed
    deviation = strategy["deviation"]
    return spread(strategy["mean"], math.nan if deviation is None else deviation)
