"""Learning loss, the half that chooses: each cell's loss as the trained head expects it, the highest first."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from labelgrid.score.statistic import Axis, PoolBatch, Statistic
from labelgrid.select.parts import Composed, MinMax, Read

STATISTIC = "tests.plugins.learning_loss_statistic:build_statistic"


@dataclass(frozen=True)
class Options:
    """Of the statistic.

    Args:
        term: the trained term that predicts losses, as the recipe names it.
    """

    term: str = "tests.plugins.learning_loss:build"


class ExpectedLoss(Statistic):
    """What the term `predict`s from the tasks' features, known labels fed in.

    Source: Yoo & Kweon 2019, section 3.1.
    """

    axis: Axis = "cell"

    def __init__(self, term: str) -> None:
        self.terms = frozenset({term})

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """[b, t]."""
        (term,) = (batch.model.terms[name] for name in self.terms)
        known = batch.batch.targets or None
        expected = term.predict(batch.model.network.decode(batch.features, known).task_features)
        return cast("NDArray[np.floating]", expected.cpu().numpy())


def build_statistic(seed: int, options: Options) -> ExpectedLoss:
    """The statistic."""
    return ExpectedLoss(options.term)


def build(options: Options) -> Composed:
    """The strategy: losses are comparable within a task only, hence the min-max."""
    return Composed(frozenset({STATISTIC}), Read(STATISTIC), MinMax("each"), "cells", "expected to cost most")
