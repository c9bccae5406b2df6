"""Laws of the shares of a study: each run is done in one, and what others have not done is named."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.executors.job import END, OWNER, JobEnd, JobFolder, JobOwner
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import HERE, executor_at
from labelgrid.lab.simulation import other_shares
from labelgrid.lab.simulation.other_shares import OtherShares
from labelgrid.lab.simulation.run_jobs import Job, jobs_of
from labelgrid.lab.simulation.runner import PRELOADED, JobStatus, Runner
from labelgrid.lab.simulation.runs import runs_of
from tests.studies import study_request

#: The runs of the study, in their order: the first is continued by the others.
START, PARTAL, RANDOM = "start-seed0", "partal-seed0", "random_cells-seed0"


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, Job]:
    request = study_request(tmp_path, full=False, rounds=1)
    return jobs_of(request, runs_of(request.study))


def run_share(jobs: Mapping[str, Job], index: int, count: int) -> Mapping[str, JobStatus]:
    executor = replace(executor_at(HERE, 2, PRELOADED), share=Share(index, count))
    return Runner(jobs=jobs, executor=executor, show=lambda _: None).run()


def states(statuses: Mapping[str, JobStatus]) -> dict[str, str]:
    return {key: status.state for key, status in statuses.items()}


def test_without_shares_nothing_is_done_elsewhere(jobs: Mapping[str, Job]) -> None:
    others = OtherShares(jobs=jobs, share=Share())
    assert not any(key in others for key in jobs)


def test_each_run_is_of_one_share(jobs: Mapping[str, Job]) -> None:
    assert list(jobs) == [START, PARTAL, RANDOM]
    shares = [OtherShares(jobs=jobs, share=Share(index, 2)) for index in range(2)]
    assert [key in shares[0] for key in jobs] == [False, True, False]
    assert [key in shares[1] for key in jobs] == [True, False, True]


def test_a_run_that_a_process_works_on_is_done_there(jobs: Mapping[str, Job]) -> None:
    folder = JobFolder(jobs[START].progress_folder)
    folder.write(OWNER, JobOwner(os.getpid(), JobOwner.current().start, JobOwner.current().host))
    others = OtherShares(jobs=jobs, share=Share(0, 2))
    assert START in others and others.may_end(START)
    folder.write(END, JobEnd("failed", "It is wrong."))
    assert START not in OtherShares(jobs=jobs, share=Share(0, 2))


def test_shares_one_after_another_do_each_run_once_and_wait_for_no_run_for_ever(
    jobs: Mapping[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_shares, "PATIENCE", 0.5)
    early = run_share(jobs, 1, 2)
    assert states(early) == dict.fromkeys(jobs, "waiting")
    assert early[PARTAL].fault == f"It continues {START}, which share 1 of 2 has not finished."
    first = run_share(jobs, 0, 2)
    assert states(first) == {START: "done", PARTAL: "waiting", RANDOM: "done"}
    second = run_share(jobs, 1, 2)
    assert set(states(second).values()) == {"done"}
    assert {key: status.tries for key, status in second.items()} == {START: 0, PARTAL: 1, RANDOM: 0}
