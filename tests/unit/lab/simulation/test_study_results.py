"""Laws of records: a run that has all of them and no folder is not run again."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.simulation import study_results as results
from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.run_study import FROM_RECORDS, StudyResult, run_study
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_results import RECORDS
from tests.studies import study_request


def remove(out: Path, keys: Iterable[str]) -> None:
    for key in keys:
        shutil.rmtree(out / "runs" / key)


def ran(done: StudyResult) -> set[str]:
    """The runs that took a process."""
    assert not done.failed
    return {key for key, status in done.runs.items() if status.tries}


#: Two arms that score nothing, over one round: how a run trains and scores is no matter here.
ARMS = ("random_images", "random_cells")


def asked(folder: Path, out: str = "out", **changes: object) -> StudyRequest:
    """The study of all tests here, in one process at a time."""
    given: dict[str, object] = {"strategies": ARMS, "rounds": 1, **changes}
    return replace(study_request(folder, out, **given), jobs=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    assert not run_study(asked(folder)).failed
    return folder


@dataclass(frozen=True)
class Copy:
    """A finished study's folder whose records are kept apart, too; its data are shared."""

    finished: Path
    out: Path

    def run(self, **changes: object) -> StudyResult:
        return run_study(asked(self.finished, str(self.out), **changes))

    def csv(self) -> str:
        return (self.out / "outcomes.csv").read_text()


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Copy:
    out = shutil.copytree(finished / "out", tmp_path / "out")
    shutil.copy(out / "outcomes.parquet", out / RECORDS)
    return Copy(finished, out)


def test_runs_with_records_and_no_folder_are_not_run_again(study: Copy) -> None:
    before = study.csv()
    remove(study.out, ["start-seed0", "random_images-seed0", "random_cells-seed0", "full-seed0"])
    assert ran(study.run()) == set() and study.csv() == before
    assert ran(study.run()) == set() and study.csv() == before
    assert study_report(study.out).notes == [FROM_RECORDS]


def test_an_arm_with_records_does_not_change(study: Copy) -> None:
    shutil.rmtree(study.out / "runs")
    arms = {"random_images": {"strategy": "random_cells"}}
    with pytest.raises(
        ProjectError, match=r"with other settings: .*strategy\.name changed .*random_images-seed0"
    ):
        study.run(arms=arms)


def test_an_arm_with_a_part_of_its_records_does_not_change(study: Copy) -> None:
    shutil.rmtree(study.out / "runs")
    records = [one for one in results.read_outcomes(study.out, RECORDS) if one.round < 3]
    results.write_outcomes(records, study.out)
    (study.out / "outcomes.parquet").replace(study.out / RECORDS)
    arms = {"random_images": {"strategy": "random_cells"}}
    with pytest.raises(
        ProjectError, match=r"with other settings: .*strategy\.name changed .*random_images-seed0"
    ):
        study.run(arms=arms, rounds=0)


def test_without_records_they_are(study: Copy) -> None:
    before = study.csv()
    (study.out / RECORDS).unlink()
    remove(study.out, ["full-seed0"])
    assert ran(study.run()) == {"full-seed0"} and study.csv() == before


def test_the_versions_are_those_of_the_runs_and_others_are_noted(
    study: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = study_report(study.out).about["torch"]
    monkeypatch.setattr("labelgrid.lab.simulation.run_study.version", lambda package: "9.0")
    study.run()
    assert study_report(study.out).about["torch"] == now and not study_report(study.out).notes
    remove(study.out, ["full-seed0"])
    (study.out / RECORDS).unlink()
    study.run()
    assert study_report(study.out).about["torch"] == "9.0"
    (note,) = study_report(study.out).notes
    assert note.endswith(f"with torch 9.0 instead of {now}.")


def test_unknown_versions_of_earlier_runs_are_noted(study: Copy) -> None:
    kept = json.loads((study.out / "study.json").read_text())
    del kept["versions"]  # as an earlier version kept it
    (study.out / "study.json").write_text(json.dumps(kept))
    assert study_report(study.out).about["torch"] == "not recorded"
    remove(study.out, ["full-seed0"])
    (study.out / RECORDS).unlink()
    study.run()
    assert all(
        "and those of earlier runs are unknown" in note for note in study_report(study.out).notes
    )
    assert len(study_report(study.out).notes) == 2


def test_more_seeds_are_added_to_records_alone(study: Copy) -> None:
    before = study.csv().splitlines()
    for path in study.out.iterdir():
        if path.name not in ("study.json", RECORDS):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert ran(study.run(seeds=2)) == {
        "start-seed1",
        "random_images-seed1",
        "random_cells-seed1",
        "full-seed1",
    }
    after = study.csv().splitlines()
    assert set(before) < set(after) and len(after) == 2 * len(before) - 1


def test_records_alone_are_continued_with_the_same_data_elsewhere_and_runs_are_not(
    study: Copy, tmp_path: Path
) -> None:
    shutil.copytree(study.finished / "data", tmp_path / "data")
    moved = Copy(tmp_path, study.out)
    with pytest.raises(ProjectError, match="root changed"):
        moved.run()
    shutil.rmtree(study.out / "runs")
    assert ran(moved.run()) == set()
    images = sorted((tmp_path / "data" / "images").iterdir())
    shutil.copy(images[-1], images[0])
    with pytest.raises(ProjectError, match="image"):  # other pixels
        moved.run()


def test_a_start_is_run_again_if_a_run_has_to_continue_it_and_the_tables_stay_the_same(
    study: Copy,
) -> None:
    out, before = study.out, study.csv()
    remove(out, ["start-seed0"])
    (out / "runs" / "random_images-seed0" / "done.json").unlink()
    assert ran(study.run()) == {"random_images-seed0"}  # it has its own copy of the start
    remove(out, ["random_images-seed0"])
    (out / "fewer").mkdir()
    results.write_outcomes(
        [r for r in results.read_outcomes(out) if r.strategy != "random_images"], out / "fewer"
    )
    (out / "fewer" / "outcomes.parquet").replace(out / RECORDS)
    assert ran(study.run()) == {"start-seed0", "random_images-seed0"}
    assert study.csv() == before


def test_a_run_that_has_to_buy_more_rounds_than_its_records_have_is_run_again(study: Copy) -> None:
    shutil.rmtree(study.out / "runs")
    done = study.run(rounds=2)
    bought = {"start-seed0", "random_images-seed0", "random_cells-seed0"}
    assert ran(done) == bought  # `full` buys nothing


def test_an_analysis_says_which_networks_were_removed(study: Copy) -> None:
    remove(study.out, ["full-seed0"])
    with pytest.raises(ProjectError, match="1 of 4 runs have records, but no networks: full-seed0"):
        analyse(study.out, "picks")


def test_damaged_records_are_refused_before_anything_is_run(study: Copy) -> None:
    (study.out / RECORDS).write_bytes(b"junk")
    with pytest.raises(ProjectError, match="cannot be read"):
        study.run()


def test_a_changed_byte_of_the_records_is_noticed_or_changes_nothing(study: Copy) -> None:
    path, records = study.out / results.TABLE, results.read_outcomes(study.out)
    whole, noticed = path.read_bytes(), 0
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert results.read_outcomes(study.out) == records
        except ProjectError:
            noticed += 1
    assert noticed > len(whole) / 37 / 4
