"""Checks the tasks that a user limits a query to. Loads no torch."""

from collections.abc import Sequence

from labelgrid.basics.errors import UsageError
from labelgrid.project.folder import ProjectFolder
from labelgrid.select.draws import RandomDraws


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
            where=project.folder,
            next_step=f"Its tasks are: {', '.join(known)}.",
            unchanged="Nothing was requested.",
        )
    if tasks and (draws.pairs or draws.audit):
        raise UsageError(
            "Pairs and audits need labels of the tasks that they measure, not of named ones.",
            next_step="Leave --task out, or draw them by a query of their own.",
            unchanged="Nothing was requested.",
        )
