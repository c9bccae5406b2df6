"""Laws of lists of jobs: each is done once, again after a death, and what is left is named."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.errors import ProjectError
from labelgrid.executors.job import JobFolder
from labelgrid.executors.job_list import RETRIES, JobList, ListedJob
from labelgrid.executors.placement import HERE, executor_at
from labelgrid.executors.share import Share
from labelgrid.progress import Progress, Silent
from tests.jobs import Said


def write_number(out: Path, number: int, progress: Progress) -> None:
    with out.open("x") as file:
        file.write(str(number))


def die_at_first(out: Path, deaths: int, progress: Progress) -> None:
    with (out.parent / "tries").open("a") as file:
        file.write("|")
    if len((out.parent / "tries").read_text()) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    out.touch()


def refuse(progress: Progress) -> None:
    raise ProjectError("The shard is wrong.")


def listed(folder: Path, name: str, function, *arguments: object) -> ListedJob:
    return ListedJob(
        folder=folder / "jobs" / name,
        function=function,
        arguments=arguments,
        is_done=(folder / name).exists,
    )


def numbers(folder: Path, count: int) -> list[ListedJob]:
    return [
        listed(folder, f"{number}", write_number, folder / f"{number}", number)
        for number in range(count)
    ]


@pytest.fixture
def here() -> Iterator[object]:
    yield executor_at(HERE, 2, "labelgrid.errors")


def test_jobs_that_are_not_done_are_done_once(here, tmp_path: Path) -> None:
    (tmp_path / "2").write_text("kept")
    said = Said()
    ends = JobList(numbers(tmp_path, 5), here, said).carry_out("Scoring", "shards")
    assert sorted(path.name for path in ends.ended) == ["0", "1", "3", "4"]
    assert not ends.faults and not ends.left
    assert [(tmp_path / f"{number}").read_text() for number in range(5)] == [
        *"01",
        "kept",
        "3",
        "4",
    ]
    assert said.lines == ["Scoring: 5 shards", "5 of 5"]


@pytest.mark.parametrize("deaths", [RETRIES, RETRIES + 1])
def test_a_job_that_dies_is_begun_again_a_few_times(here, tmp_path: Path, deaths: int) -> None:
    job = listed(tmp_path, "out", die_at_first, tmp_path / "out", deaths)
    said = Said()
    ends = JobList([job], here, said).carry_out("Scoring", "shards")
    again = [line for line in said.lines if line.endswith("It is begun again.")]
    assert len(again) == RETRIES and all(line.startswith("out: ") for line in again)
    if deaths <= RETRIES:
        assert not ends.faults and (tmp_path / "out").exists()
    else:
        assert ends.faults[job.folder].fault.endswith(f"It was tried {RETRIES + 1} times.")
        assert not (tmp_path / "out").exists()


def test_a_job_that_fails_stops_no_other(here, tmp_path: Path) -> None:
    jobs = [listed(tmp_path, "wrong", refuse), *numbers(tmp_path, 2)]
    ends = JobList(jobs, here, Silent()).carry_out("Scoring", "shards")
    assert {path.name: end.fault for path, end in ends.faults.items()} == {
        "wrong": "The shard is wrong."
    }
    assert (tmp_path / "0").exists() and (tmp_path / "1").exists()


def test_of_shares_each_does_its_own_and_names_what_others_have_not_done(
    here, tmp_path: Path
) -> None:
    lefts = []
    for index in (1, 0):
        executor = executor_at(HERE, 2, "labelgrid.errors")
        executor = replace(executor, share=Share(index, 2))
        ends = JobList(numbers(tmp_path, 5), executor, Silent()).carry_out("Scoring", "shards")
        lefts.append([path.name for path in ends.left])
        assert len(ends.ended) == (2 if index else 3)
    assert lefts == [["0", "2", "4"], []]


def test_a_stopped_list_leaves_no_process(here, tmp_path: Path) -> None:
    class Stopping(Silent):
        def advance(self, amount: int = 1, note: str = "") -> None:
            raise KeyboardInterrupt

    jobs = numbers(tmp_path, 8)
    with pytest.raises(KeyboardInterrupt):
        JobList(jobs, here, Stopping()).carry_out("Scoring", "shards")
    assert {JobFolder(job.folder).state for job in jobs} <= {"waiting", "ended", "stopped"}
