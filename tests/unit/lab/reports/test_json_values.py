"""Laws of the numbers for programs: all of them, as JSON that any reader takes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from labelgrid.basics.comparison import compare
from labelgrid.lab.reports import measure
from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.json_values import delta_mtl_rows, study_values
from labelgrid.lab.reports.study_content import StudyReport
from labelgrid.lab.reports.study_page import study_page
from tests.unit.report.made import (
    cheaper,
    network,
    nothing,
    planted,
    point_results,
    study,
)


def values_of(report: StudyReport) -> dict[str, Any]:
    return study_values(report, study_measures(report))


def test_page_and_values_compare_each_measure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def count(values: Any, better: Any, **further: Any) -> Any:
        compared.append(better)
        return compare(values, better, **further)

    monkeypatch.setattr(measure, "compare", count)
    report = study(point_results())
    measures = study_measures(report)
    study_page(report, measures)
    assert study_values(report, measures)["points"][0]["measures"]
    assert len(compared) == len(measures[0])


def test_every_comparison_and_distance_is_there_with_its_seeds() -> None:
    values = json.loads(
        json.dumps(values_of(study(point_results(planted("partal", 0.2), 8))), allow_nan=False)
    )
    (point,) = values["points"]
    names = [measure["name"] for measure in point["measures"]]
    assert names[0] == "Mean loss_mtl over labels" and {
        "δ of semseg (mIoU)",
        "δ of depth (RMSE)",
    } <= set(names)
    (pair,) = point["measures"][0]["pairs"]
    assert (pair["first"], pair["second"], pair["verdict"], pair["seeds"]) == (
        "partal",
        "random_cells",
        "better",
        8,
    )
    partal = point["measures"][0]["strategies"]["partal"]
    assert partal["mean"] == pytest.approx(sum(partal["seeds"].values()) / 8)


def test_a_pair_without_a_test_has_no_p_and_says_why() -> None:
    values = values_of(study(cheaper(point_results(nothing, 8), "partal", 0.9)))
    text = json.dumps(values, allow_nan=False)
    (measures,) = [point["measures"] for point in json.loads(text)["points"]]
    (pair,) = next(one for one in measures if one["name"].endswith("over cost"))["pairs"]
    assert (pair["p"], pair["holm"], pair["verdict"]) == (None, None, "cannot tell")
    assert pair["why"] == "they share no two rounds with the same cost" and pair["mean"] != 0


def test_one_seed_has_no_deviation_and_unfinished_runs_are_named() -> None:
    one = point_results(seeds=1)
    cut = [
        replace(run, state="failed", fault="out of memory") if run.kind == "full" else run
        for run in one.runs
    ]
    values = values_of(study(replace(one, runs=cut)))
    assert values["points"][0]["measures"][0]["strategies"]["partal"]["deviation"] is None
    assert values["unfinished"] == [
        {"run": "full-seed0", "point": "", "state": "failed", "fault": "out of memory"}
    ]


def test_the_table_of_delta_mtl_has_a_row_for_each_strategy_and_a_column_for_each_reference() -> (
    None
):
    assert delta_mtl_rows({"project": "flat"}) == ([], [])
    plain = point_results()
    columns, rows = delta_mtl_rows(values_of(study(plain)))
    assert columns == ["strategy", "over every label"] and [row[0] for row in rows] == [
        "partal",
        "random_cells",
    ]
    single = {"single": {seed: network(0, 6.0) for seed in range(3)}}
    results = replace(plain, point="train.steps=5", single=single, single_of={"partal": "single"})
    columns, rows = delta_mtl_rows(values_of(study(results)))
    assert columns == ["strategy", "point", "over every label", "over single-task networks"]
    assert rows[0][:2] == ["partal", "train.steps=5"] and " ± " in rows[0][3] and rows[1][3] == "–"
    bare = replace(plain, runs=[run for run in plain.runs if run.kind != "full"])
    assert delta_mtl_rows(values_of(study(bare))) == ([], [])
