"""Laws of runs whose folders were removed: their records stay, and what is complete is not run again."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from labelgrid.errors import ProjectError
from labelgrid.simulation.analyse import analyse
from labelgrid.simulation.run_study import SilentStudy, StudyProgress, StudyResult, run_study
from tests.studies import study_request


class Said(SilentStudy):
    """Keeps the lines that are shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.lines.append(text)


def remove(out: Path, keys: Iterable[str]) -> None:
    for key in keys:
        shutil.rmtree(out / "runs" / key)


def ran(done: StudyResult) -> set[str]:
    """The runs that took a process."""
    assert not done.failed
    return {key for key, status in done.runs.items() if status.tries}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    assert not run_study(study_request(folder)).failed
    return folder


@dataclass(frozen=True)
class Copy:
    """A finished study's folder that a test may damage; its data are shared."""

    finished: Path
    out: Path

    def run(self, progress: StudyProgress | None = None, **changes: object) -> StudyResult:
        return run_study(study_request(self.finished, str(self.out), **changes), progress)


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Copy:
    return Copy(finished, shutil.copytree(finished / "out", tmp_path / "out"))


def test_removed_runs_keep_their_records_and_are_not_run_again(study: Copy) -> None:
    out, said = study.out, Said()
    before = (out / "outcomes.csv").read_bytes()
    remove(out, ["start-seed0", "partal-seed0", "random_cells-seed0", "full-seed0"])
    done = study.run(said)
    assert ran(done) == set() and (out / "outcomes.csv").read_bytes() == before
    (line,) = said.lines
    assert line.startswith("The folders of 4 runs were removed") and "partal-seed0" in line


def test_more_seeds_are_added_to_records_alone(study: Copy) -> None:
    out = study.out
    before = (out / "outcomes.csv").read_text().splitlines()
    shutil.rmtree(out / "runs")
    done = study.run(seeds=2)
    assert ran(done) == {"start-seed1", "partal-seed1", "random_cells-seed1", "full-seed1"}
    after = (out / "outcomes.csv").read_text().splitlines()
    assert set(before) < set(after) and len(after) == 2 * len(before) - 1


def test_records_alone_go_on_where_the_same_data_lie_elsewhere_and_runs_do_not(study: Copy, tmp_path: Path) -> None:
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


def test_a_removed_start_is_made_again_if_a_run_has_to_continue_it_and_the_tables_stay_the_same(study: Copy) -> None:
    out = study.out
    before = (out / "outcomes.csv").read_bytes()
    remove(out, ["start-seed0"])
    (out / "runs" / "partal-seed0" / "done.json").unlink()
    assert ran(study.run()) == {"partal-seed0"}  # it has its own copy of the start
    remove(out, ["partal-seed0"])
    (out / "outcomes.parquet").unlink()  # now nothing is known of it
    assert ran(study.run()) == {"start-seed0", "partal-seed0"}
    assert (out / "outcomes.csv").read_bytes() == before


def test_a_removed_run_is_made_again_if_it_has_to_buy_more_rounds(study: Copy) -> None:
    out = study.out
    shutil.rmtree(out / "runs")
    done = study.run(rounds=3)
    assert ran(done) == {"start-seed0", "partal-seed0", "random_cells-seed0"}  # `full` buys nothing


def test_an_analysis_says_which_networks_were_removed(study: Copy) -> None:
    remove(study.out, ["full-seed0"])
    with pytest.raises(ProjectError, match="1 of 4 runs were removed: full-seed0"):
        analyse(study.out, "picks")
