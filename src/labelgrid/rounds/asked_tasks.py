"""Limits a query to the tasks that a user names, and says which tasks it leaves nothing of.

Loads no torch.
"""

from collections.abc import Collection, Sequence

import numpy as np

from labelgrid.drawings.wording import number
from labelgrid.errors import UsageError
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.project.folder import ProjectFolder
from labelgrid.select.draws import RandomDraws
from labelgrid.words import join_names


def check_asked_tasks(project: ProjectFolder, tasks: Sequence[str], draws: RandomDraws) -> None:
    """Refuse tasks that a query cannot be limited to.

    Args:
        project: the project.
        tasks: that were named; empty: all.
        draws: what is drawn at random beside.

    Raises:
        UsageError: a task is unknown, or pairs or audits are drawn, which need labels of other
            tasks.
    """
    known = [row.name for row in project.store.tasks()]
    unknown = [task for task in tasks if task not in known]
    if unknown:
        raise UsageError(
            f"The project has no task '{unknown[0]}'.",
            where=str(project.folder),
            next_step=f"Its tasks are: {', '.join(known)}.",
            unchanged="Nothing was requested.",
        )
    if tasks and (draws.pairs or draws.audit):
        raise UsageError(
            "Pairs and audits need labels of the tasks that they measure, not of named ones.",
            next_step="Leave --task out, or draw them by a query of their own.",
            unchanged="Nothing was requested.",
        )


def used_up_text(picks: Collection[Pick], grid: Grid) -> str:
    """Which tasks the picks leave no missing label of, though others have some; "" if none.

    Args:
        picks: the picks.
        grid: the pool they were picked from.
    """
    before = grid.eligible.sum(0)
    left = before.copy()
    columns = {task: column for column, task in enumerate(grid.tasks)}
    for pick in picks:
        left[columns[pick.cell.task]] -= 1
    done = np.flatnonzero((before > 0) & (left == 0)).tolist()
    rest = np.flatnonzero(left > 0).tolist()
    if not done or not rest:
        return ""
    names = join_names([grid.tasks[column] for column in done])
    others = [f"{left[column]:,} of {grid.tasks[column]}" for column in rest]
    spent = grid.bought.sum(0) * grid.cost
    paid = [f"{task} {number(cost)}" for task, cost in zip(grid.tasks, spent.tolist(), strict=True)]
    return (
        f"This takes every missing label of {names}; left are {join_names(others)}. Labels cost so "
        f"far: {join_names(paid)}. `--task` limits a query to tasks that you name."
    )
