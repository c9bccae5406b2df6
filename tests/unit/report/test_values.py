"""Laws of the numbers for programs: all of them, as JSON that any reader takes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from labelgrid.report import campaign_measures
from labelgrid.report.campaign_measures import study_measures
from labelgrid.report.statistics import compare
from labelgrid.report.study_content import StudyReport
from labelgrid.report.study_page import study_page
from labelgrid.report.values import study_values
from tests.unit.report.made import planted, point_results, study


def values_of(report: StudyReport) -> dict[str, Any]:
    return study_values(report, study_measures(report))


def test_page_and_values_compare_each_measure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def count(values: Any, better: Any) -> Any:
        compared.append(better)
        return compare(values, better)

    monkeypatch.setattr(campaign_measures, "compare", count)
    report = study(point_results())
    measures = study_measures(report)
    study_page(report, measures)
    assert study_values(report, measures)["points"][0]["measures"]
    assert len(compared) == len(measures[0])


def test_every_comparison_and_distance_is_there_with_its_seeds() -> None:
    values = json.loads(json.dumps(values_of(study(point_results(planted("partal", 0.2), 8))), allow_nan=False))
    (point,) = values["points"]
    names = [measure["name"] for measure in point["measures"]]
    assert names[0] == "Mean loss_mtl over labels" and {"δ of semseg (mIoU)", "δ of depth (RMSE)"} <= set(names)
    (pair,) = point["measures"][0]["pairs"]
    assert (pair["first"], pair["second"], pair["verdict"], pair["seeds"]) == ("partal", "random_cells", "better", 8)
    partal = point["measures"][0]["strategies"]["partal"]
    assert partal["mean"] == pytest.approx(sum(partal["seeds"].values()) / 8)


def test_one_seed_has_no_deviation_and_unfinished_runs_are_named() -> None:
    one = point_results(seeds=1)
    cut = [replace(run, state="failed", fault="out of memory") if run.kind == "full" else run for run in one.runs]
    values = values_of(study(replace(one, runs=cut)))
    assert values["points"][0]["measures"][0]["strategies"]["partal"]["deviation"] is None
    assert values["unfinished"] == [{"run": "full-seed0", "point": "", "state": "failed", "fault": "out of memory"}]
