"""A whole round with a training that is killed in it, as tests of plug-ins run one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.basics.progress import Silent
from labelgrid.executors import share
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit
from labelgrid.rounds import fit, query, score
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.select.strategy import Budget
from labelgrid.train.trainer import Trainer


class Killed(BaseException):
    """Stops a training as a signal does."""


def killed_at(step: int, project: ProjectFolder, changes: dict[str, Any] | None = None) -> None:
    """Train the open round until an optimiser step, where the training dies."""
    whole = Trainer.train_step

    def dying(trainer: Trainer, *arguments: Any) -> Any:
        if trainer.step == step:
            raise Killed
        return whole(trainer, *arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "train_step", dying)
        fit.fit(project, Silent(), changes=changes)


def round_of(
    project: ProjectFolder,
    answer: Callable[[ProjectFolder], int],
    changes: dict[str, Any] | None = None,
    kill: int = 0,
) -> tuple[Fit, list[str]]:
    """query -> import -> fit -> score -> query.

    With `kill` the training dies at that step and is resumed.

    Returns:
        the training, and the second query's picks.
    """
    query.query(project, Budget(4, "images"), Silent())
    assert answer(project)
    if kill:
        killed_at(kill, project, changes)
    done = fit.fit(project, Silent(), changes=changes)
    score.score(project, Silent())
    picked = query.query(project, Budget(3), Silent())
    return done, [
        f"{pick.cell.image_id} {pick.cell.task} {pick.score:.9g}" for pick in picked.picks
    ]


def killed_scoring(
    monkeypatch: pytest.MonkeyPatch, statistic: type[Statistic]
) -> list[tuple[str, ...]]:
    """Let the pool be scored in shards of three images, and the second batch be interrupted.

    Returns:
        the ids of each batch that is scored, as they come.
    """
    real = statistic.__call__
    batches: list[tuple[str, ...]] = []

    def killed(self: Statistic, batch: PoolBatch) -> NDArray[np.floating]:
        batches.append(batch.batch.ids)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(share, "ALONE", 3)
    monkeypatch.setattr(statistic, "__call__", killed)
    return batches
