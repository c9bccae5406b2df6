"""Laws of SLURM's array jobs: the variables of a task say its share, and nothing else is asked."""

import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.executors.places.slurm import COUNT, FIRST, NUMBER, STEP, share_of
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import executor_at


@pytest.mark.parametrize(
    ("array", "first", "step"),
    [(range(4), 0, 1), (range(1, 5), 1, 1), (range(10, 50, 10), 10, 10)],
)
def test_the_tasks_of_an_array_have_all_shares(array: range, first: int, step: int) -> None:
    shares = []
    for number in array:
        variables = {NUMBER: number, COUNT: len(array), FIRST: first, STEP: step}
        shares.append(share_of({name: str(value) for name, value in variables.items()}))
    assert shares == [Share(index, 4) for index in range(4)]


def test_two_variables_are_enough() -> None:
    assert share_of({NUMBER: "2", COUNT: "3"}) == Share(2, 3)


@pytest.mark.parametrize("missing", [NUMBER, COUNT])
def test_outside_an_array_job_it_is_refused_with_the_line_that_starts_one(missing: str) -> None:
    variables = {NUMBER: "0", COUNT: "2"}
    del variables[missing]
    with pytest.raises(UsageError, match="no task of a SLURM array job") as refused:
        share_of(variables)
    assert "sbatch --array=0-9" in str(refused.value)


@pytest.mark.parametrize(
    "variables",
    [
        {NUMBER: "7", COUNT: "2", FIRST: "3"},  # --array=3,7
        {NUMBER: "3", COUNT: "2", STEP: "2"},
        {NUMBER: "-1", COUNT: "2"},
        {NUMBER: "a", COUNT: "2"},
        {NUMBER: "0", COUNT: "0"},
        {NUMBER: "0", COUNT: "2", STEP: "0"},
    ],
)
def test_numbers_with_gaps_and_no_numbers_are_refused(variables: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="do not say which share this is") as refused:
        share_of(variables)
    assert f"{NUMBER}={variables[NUMBER]}" in str(refused.value)


def test_a_task_runs_its_jobs_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NUMBER, "1")
    monkeypatch.setenv(COUNT, "3")
    executor = executor_at("slurm", 5, "labelgrid.basics.errors")
    assert (executor.workers, executor.share) == (5, Share(1, 3))
    with pytest.raises(UsageError, match="takes no address"):
        executor_at("slurm:there", 5, "labelgrid.basics.errors")
