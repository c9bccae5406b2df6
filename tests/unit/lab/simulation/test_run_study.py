"""Laws of a study's lock: one call alone, or the shares of one array job beside each other."""

import multiprocessing
import time
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.executors.share import Share
from labelgrid.lab.simulation.run_study import locked_study
from labelgrid.lab.simulation.study_recipe import LOCK

ALL = Share()
FIRST = Share(0, 2)
SECOND = Share(1, 2)


@pytest.mark.parametrize(("holder", "other"), [(ALL, ALL), (ALL, FIRST), (FIRST, ALL)])
def test_a_call_that_does_all_runs_works_alone(tmp_path: Path, holder: Share, other: Share) -> None:
    with (
        locked_study(tmp_path, holder),
        pytest.raises(ProjectError, match="Another process is working on these runs"),
        locked_study(tmp_path, other),
    ):
        raise AssertionError("two work on it")
    with locked_study(tmp_path, other):
        pass


def test_shares_work_beside_each_other_but_for_what_is_of_the_whole_study(tmp_path: Path) -> None:
    with locked_study(tmp_path, FIRST) as first, locked_study(tmp_path, SECOND) as second:
        with first.alone():
            process = multiprocessing.get_context("fork").Process(
                target=wait_alone, args=(tmp_path,)
            )
            process.start()
            time.sleep(0.3)
            assert not (tmp_path / "alone").exists()
        process.join(60)
        assert (tmp_path / "alone").exists()
        with second.alone():
            pass


def wait_alone(folder: Path) -> None:
    with locked_study(folder, SECOND) as lock, lock.alone():
        (folder / "alone").touch()


def test_a_folder_made_for_the_lock_goes_if_nothing_was_written(tmp_path: Path) -> None:
    with locked_study(tmp_path / "new", ALL):
        assert (tmp_path / "new" / LOCK).exists()
    assert not (tmp_path / "new").exists()
    with locked_study(tmp_path / "new", ALL):
        (tmp_path / "new" / "study.json").touch()
    assert (tmp_path / "new" / "study.json").exists()
