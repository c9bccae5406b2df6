"""Laws of the figures for programs: all of them, as JSON that any reader takes."""

import json
from dataclasses import replace

import pytest

from labelgrid.report.values import study_values
from tests.unit.report.made import planted, point_results, study


def test_every_comparison_and_distance_is_there_with_its_seeds() -> None:
    values = json.loads(json.dumps(study_values(study(point_results(planted("partal", 0.2), 8))), allow_nan=False))
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
    values = study_values(study(replace(one, runs=cut)))
    assert values["points"][0]["measures"][0]["strategies"]["partal"]["deviation"] is None
    assert values["unfinished"] == [{"run": "full-seed0", "point": "", "state": "failed", "fault": "out of memory"}]
