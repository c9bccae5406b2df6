"""Finds a relation's options, and the field of view of unknown cameras, on true labels.

Options are those by which derived labels teach the most: trust times coverage. Loads no torch.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.relations.relation import TrueExample
from labelgrid.relations.true_agreement import TruePair, chance_error, coverage_of, error_of
from labelgrid.tasks.task import TaskDef

#: The fields of view in degrees that are tried first; the ends are only there to be refused.
VIEWS = (16.0, 26.0, 40.0, 58.0, 80.0, 104.0, 130.0)
#: The smallest and the largest field of view that can be found, and how finely.
NARROWEST = 20.0
WIDEST = 120.0
FINE = 0.1
#: A field of view is first searched on so many images; options, and finely a view, on so many.
PILOT = 3
MOST = 10
Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class OptionSearch:
    """A search for the options of a relation between tasks of a project.

    Args:
        relation: the relation with its first options, kept unless others are better.
        start: the first options.
        bind: the relation with some options.
        pairs: the images, a random sample in random order; the first `MOST` choose.
        task: the task of the derived labels.
    """

    relation: BoundRelation
    start: Options
    bind: Callable[[Options], BoundRelation]
    pairs: Sequence[TruePair]
    task: TaskDef

    @property
    def choosers(self) -> range:
        """The indices of the images that choose options."""
        return range(min(len(self.pairs), MOST))

    @property
    def needs_view(self) -> bool:
        """Whether the relation needs cameras, and all are unknown."""
        return self.relation.needs_camera and all(pair.camera is None for pair in self.pairs)

    @cached_property
    def view(self) -> float | None:
        """The field of view of unknown cameras, in degrees.

        None: it is not needed, or none between 20 and 120 degrees explains the labels better than
        both its neighbours.
        """
        if not self.needs_view:
            return None
        first = next(iter(self._stages), [])
        pilot = self.pairs[:PILOT]
        tried = self._candidates(self._first(self.choosers), first)
        trials = [_Trial(self.bind(options), pilot, self.task) for options in tried]
        return _find_view(trials, self.pairs[:MOST])

    def best(self, without: int | None = None) -> Options | None:
        """The options that the images choose, with or without a left-out image.

        Args:
            without: the index of an image that does not choose.

        Returns:
            The options; None if the first ones do not fit the tasks and the images propose none.
        """
        indices = [index for index in self.choosers if index != without]
        best = self._best_of(self._first(indices), indices)
        if best is None:
            return None
        for stage in self._stages:
            best = self._best_of(self._candidates([best], stage), indices) or best
        return best

    @cached_property
    def _stages(self) -> list[list[Options]]:
        groups = groupby(self.relation.tries, key=lambda options: sorted(options))
        return [list(group) for _, group in groups]

    def _first(self, indices: Collection[int]) -> list[Options]:
        """The options at the beginning, and the options that images propose."""
        first = [] if self.relation.is_open else [self.start]
        finder = self.relation.finder
        if finder:
            rest = {name: value for name, value in self.start.items() if name not in finder.finds}
            readings = [self._readings[index] for index in indices]
            first += [{**rest, **options} for options in finder.propose(readings)]
        return first

    def _candidates(self, begun: Sequence[Options], stage: Sequence[Options]) -> list[Options]:
        """Some options, then these with each of a stage, each once."""
        candidates = list(begun)
        for options in begun:
            merged = ({**options, **more} for more in stage)
            candidates += [tried for tried in merged if tried not in candidates]
        return candidates

    @cached_property
    def _readings(self) -> list[Any]:
        finder = self.relation.finder
        assert finder  # else nothing is read
        readings = []
        for index in self.choosers:
            pair = self.pairs[index]
            labels = [pair.labels[name] for name in self.relation.reads]
            readings.append(finder.read(TrueExample(labels, pair.truth, pair.camera)))
        return readings

    @cached_property
    def _chance(self) -> float:
        return chance_error([self.pairs[index].truth for index in self.choosers], self.task)

    @cached_property
    def _outcomes(self) -> dict[tuple[str, int], tuple[float, float]]:
        return {}

    def _best_of(self, candidates: Sequence[Options], indices: Sequence[int]) -> Options | None:
        """The first of the options with the most trust times coverage; None of none."""
        values = []
        for options in candidates:
            error, coverage = _joined([self._outcome(options, index) for index in indices])
            # Trust times coverage, times the error of chance.
            values.append(coverage * (self._chance - 2 * error) if coverage else -np.inf)
        if not values:
            return None
        return candidates[int(np.argmax(values))]

    def _outcome(self, options: Options, index: int) -> tuple[float, float]:
        key = (json.dumps(options, sort_keys=True), index)
        if key not in self._outcomes:
            trial = _Trial(self.bind(options), [self.pairs[index]], self.task)
            self._outcomes[key] = trial.outcome(self.view)
        return self._outcomes[key]


def _joined(outcomes: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean error over the reached pixels (inf without any), and the share of reached pixels."""
    reached = []
    for error, coverage in outcomes:
        if coverage:
            reached.append((error, coverage))
    if not reached:
        return np.inf, 0.0
    errors, coverages = zip(*reached, strict=True)
    return float(np.average(errors, weights=coverages)), sum(coverages) / len(outcomes)


def _find_view(trials: Sequence["_Trial"], pairs: Sequence[TruePair]) -> float | None:
    """The field of view of unknown cameras, in degrees; None at an end of the search.

    The search uses the options of the smallest error, among options that reach at least half as
    many pixels as any. Options with the best view at an end are left out: too small a window sees
    only the steps of depths.
    """
    views = []
    most = 0.0
    for trial in trials:
        errors, coverage = trial.outcomes(VIEWS)
        index = int(np.argmin(errors))
        most = max(most, coverage)
        if 0 < index < len(VIEWS) - 1:
            views.append((errors[index], coverage, index, trial))
    wide = [row for row in views if row[1] >= most / 2]
    if not wide:
        return None
    _, _, index, trial = min(wide, key=lambda row: row[0])
    view = replace(trial, pairs=pairs).refine((VIEWS[index - 1], VIEWS[index + 1]))
    if NARROWEST <= view <= WIDEST:
        return view
    return None


@dataclass(frozen=True)
class _Trial:
    """A relation with some options, on some images."""

    relation: BoundRelation
    pairs: Sequence[TruePair]
    task: TaskDef

    def outcome(self, view: float | None) -> tuple[float, float]:
        """The error over the pixels that derived labels reach (inf without any), and the share."""
        outcomes = []
        for pair in self.pairs:
            label = pair.derive(self.relation, view)
            outcomes.append(self._compared(label, pair.truth))
        return _joined(outcomes)

    def outcomes(self, views: Sequence[float]) -> tuple[list[float], float]:
        """The errors with some fields of view, over the pixels reached with all views.

        Otherwise pixels would come and go, which makes the remaining pixels look better.
        """
        by_pair = []
        for pair in self.pairs:
            labels = [pair.derive(self.relation, view) for view in views]
            same = np.logical_and.reduce([label.valid for label in labels])
            both = [replace(label, valid=same) for label in labels]
            by_pair.append([self._compared(label, pair.truth) for label in both])
        joined = [_joined(column) for column in zip(*by_pair, strict=True)]
        return [error for error, _ in joined], joined[0][1]

    def _compared(self, label: LabelArray, truth: LabelArray) -> tuple[float, float]:
        results = self.task.agreement(label, truth)
        if not results:
            return np.inf, 0.0
        return error_of(results[0]), coverage_of(label, truth)

    def refine(self, ends: tuple[float, float]) -> float:
        """The field of view between two others with the smallest error.

        The error is over the pixels that both ends reach: other pixels would come and go.
        """
        from scipy.optimize import minimize_scalar  # slow to load

        same = self.limited(ends)
        minimum = minimize_scalar(
            lambda view: min(same.outcome(float(view))[0], 1e6),
            bounds=ends,
            method="bounded",
            options={"xatol": FINE},
        )
        return round(float(minimum.x), 1)

    def limited(self, views: Sequence[float]) -> "_Trial":
        """The trial on the pixels that derived labels reach with each field of view."""
        pairs = []
        for pair in self.pairs:
            valid = pair.truth.valid
            for view in views:
                valid = valid & pair.derive(self.relation, view).valid
            pairs.append(replace(pair, truth=replace(pair.truth, valid=valid)))
        if not any(pair.truth.valid.any() for pair in pairs):
            return self
        return replace(self, pairs=pairs)
