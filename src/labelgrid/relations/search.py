"""Finds a relation's options, and the field of view of unknown cameras, on true labels.

Loads no torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labelgrid.relations.agreement import TruePair, chance_error, coverage_of, error_of
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef

#: The fields of view in degrees that are tried first; the ends are only there to be refused.
VIEWS = (16.0, 26.0, 40.0, 58.0, 80.0, 104.0, 130.0)
#: The smallest and the largest field of view that can be found, and how finely.
NARROWEST = 20.0
WIDEST = 120.0
FINE = 0.1
#: Options are tried on so many images, and a field of view is searched on so many.
PILOT = 3
MOST = 10


@dataclass(frozen=True)
class Setting:
    """What a relation is best measured with.

    Args:
        options: of its plug-in.
        view: the field of view of unknown cameras, in degrees; None: it is not needed.
    """

    options: Mapping[str, Any]
    view: float | None = None


def find_setting(
    bind: Callable[[Mapping[str, Any]], BoundRelation],
    tries: Sequence[Mapping[str, Any]],
    pairs: Sequence[TruePair],
    task: TaskDef,
) -> Setting | None:
    """The options by which derived labels teach the most, trust times coverage, and the camera.

    Args:
        bind: the relation with some options.
        tries: the options to try, the preferred first.
        pairs: the images, a random sample.
        task: of the derived labels.

    Returns:
        The setting; None if the relation needs cameras, all are unknown, and no field of view
        between 20 and 120 degrees explains the labels better than both its neighbours.
    """
    trials = [_Trial(bind(options), pairs[:PILOT], task) for options in tries]
    view = None
    if trials[0].relation.needs_camera and all(pair.camera is None for pair in pairs):
        view = _find_view(trials, pairs[:MOST])
        if view is None:
            return None
    if len(tries) == 1:
        return Setting(tries[0], view)
    chance = chance_error([pair.truth for pair in pairs], task)
    values = []
    for trial in trials:
        error, coverage = trial.outcome(view)
        values.append(coverage * (chance - 2 * error) if coverage else -np.inf)
    return Setting(tries[int(np.argmax(values))], view)


def _find_view(trials: Sequence["_Trial"], pairs: Sequence[TruePair]) -> float | None:
    """The field of view of unknown cameras, in degrees; None if it is at an end of the search.

    It is searched with the options of the smallest error, of those that reach at least half as
    many pixels as any. Options are left out for which it lies at an end: too small a window sees
    only the steps of depths.
    """
    found = []
    for trial in trials:
        outcomes = [trial.outcome(view) for view in VIEWS]
        errors = [error for error, _ in outcomes]
        place = int(np.argmin(errors))
        if 0 < place < len(VIEWS) - 1:
            error, coverage = outcomes[place]
            found.append((error, coverage, place, trial))
    if not found:
        return None
    enough = max(coverage for _, coverage, _, _ in found) / 2
    wide = [row for row in found if row[1] >= enough]
    _, _, place, trial = min(wide, key=lambda row: row[0])
    ends = (VIEWS[place - 1], VIEWS[place + 1])
    view = replace(trial, pairs=pairs).refine(ends)
    return view if NARROWEST <= view <= WIDEST else None


@dataclass(frozen=True)
class _Trial:
    """A relation with some options, on some images."""

    relation: BoundRelation
    pairs: Sequence[TruePair]
    task: TaskDef

    def outcome(self, view: float | None) -> tuple[float, float]:
        """The error over the pixels that derived labels reach (inf: none), and their share."""
        errors = []
        coverages = []
        for pair in self.pairs:
            label = pair.derive(self.relation, view)
            results = self.task.agreement(label, pair.truth)
            if results:
                errors.append(error_of(results[0]))
                coverages.append(coverage_of(label, pair.truth))
        if not sum(coverages):
            return np.inf, 0.0
        error = float(np.average(errors, weights=coverages))
        return error, sum(coverages) / len(self.pairs)

    def refine(self, ends: tuple[float, float]) -> float:
        """The field of view between two others with the smallest error.

        It is that of the pixels that are reached at both ends: others would come and go.
        """
        from scipy.optimize import minimize_scalar  # slow to load

        same = self.limited(ends)
        found = minimize_scalar(
            lambda view: min(same.outcome(float(view))[0], 1e6),
            bounds=ends,
            method="bounded",
            options={"xatol": FINE},
        )
        return round(float(found.x), 1)

    def limited(self, views: Sequence[float]) -> "_Trial":
        """The trial on the pixels that derived labels reach with all these fields of view."""
        pairs = []
        for pair in self.pairs:
            valid = pair.truth.valid
            for view in views:
                valid = valid & pair.derive(self.relation, view).valid
            pairs.append(replace(pair, truth=replace(pair.truth, valid=valid)))
        if not any(pair.truth.valid.any() for pair in pairs):
            return self
        return replace(self, pairs=pairs)
