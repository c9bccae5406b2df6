"""Does a share of the jobs in each task of a SLURM array job.

The same command runs in every task. The share comes from the variables `SLURM_ARRAY_TASK_ID` and
`SLURM_ARRAY_TASK_COUNT`. No scheduler is contacted: any program that sets the variables can start
the job. The shares meet in the files of a folder that all machines see. In a task, jobs run in
processes, as everywhere.
"""

import os
from collections.abc import Mapping

from labelgrid.basics.errors import UsageError
from labelgrid.basics.plugins import create
from labelgrid.executors.executor import Executor
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import HERE, refuse_address

#: The variables of a task: its number, how many there are, the first number, and the step.
NUMBER = "SLURM_ARRAY_TASK_ID"
COUNT = "SLURM_ARRAY_TASK_COUNT"
FIRST = "SLURM_ARRAY_TASK_MIN"
STEP = "SLURM_ARRAY_TASK_STEP"


def share_of(variables: Mapping[str, str]) -> Share:
    """The share of a task, by its environment variables.

    Raises:
        UsageError: they are not those of a task of an array job whose numbers have equal steps.

    Example:
        >>> str(share_of({NUMBER: "7", COUNT: "3", FIRST: "5", STEP: "1"}))
        'share 3 of 3'
    """
    if NUMBER not in variables or COUNT not in variables:
        raise UsageError(
            f"This is no task of a SLURM array job: {NUMBER} and {COUNT} are not both set.",
            next_step="Start the command by `sbatch --array=0-9 …` (docs/how-to/machines.md); "
            "without `--on slurm` it runs here.",
            unchanged="Nothing was run.",
        )
    try:
        count = int(variables[COUNT])
        number = int(variables[NUMBER]) - int(variables.get(FIRST, "0"))
        index, rest = divmod(number, int(variables.get(STEP, "1")))
    except (ValueError, ZeroDivisionError) as error:
        raise _odd_numbers(variables) from error
    if rest or not 0 <= index < count:
        raise _odd_numbers(variables)
    return Share(index, count)


def _odd_numbers(variables: Mapping[str, str]) -> UsageError:
    names = [name for name in (NUMBER, COUNT, FIRST, STEP) if name in variables]
    said = ", ".join(f"{name}={variables[name]}" for name in names)
    return UsageError(
        f"The variables of the array job do not say which share this is ({said}).",
        next_step="Number the tasks without gaps, such as `--array=0-9`: the same line again does "
        "only what is left.",
        unchanged="Nothing was run.",
    )


def build(preload: str, workers: int, address: str) -> Executor:
    """Build an executor for the task of a SLURM array job.

    Raises:
        UsageError: this is no task of an array job.
    """
    refuse_address("slurm", address)
    wanted = preload, workers, address
    executor = create("executors", HERE, *wanted)
    executor.share = share_of(os.environ)
    return executor
