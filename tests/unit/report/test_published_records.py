"""The records of published studies can be reported, and name no folder of the machine that made them."""

from pathlib import Path

import pytest

from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.reports.write_study import write_study_report
from labelgrid.lab.simulation.study_recipe import KEPT, read_json
from tests.few_pictures import Pictures

FOLDERS = sorted(
    path.parent for path in Path(__file__).parents[3].glob(f"docs/results/records/*/{KEPT}")
)


def test_there_are_records() -> None:
    assert FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_their_report_shows_finished_runs(
    folder: Path, tmp_path: Path, few_pictures: Pictures
) -> None:
    assert not Path(read_json(folder / KEPT)["root"]).is_absolute()
    assert {path.name for path in folder.iterdir()} >= {
        KEPT,
        "outcomes.parquet",
        "about.toml",
        "README.md",
    }
    runs = study_report(folder).runs
    assert [
        run
        for run in runs
        if run.kind == "strategy" and run.state == "done" and len(run.measured) == run.expected
    ]
    write_study_report(folder, tmp_path / "report.html")
    assert few_pictures.types
