"""Measures labels of suppliers beside true labels, and how far to trust them. Loads no torch.

A supplier has to be better than labels that say nothing of the image: the best constant, and
labels of other images (of the supplier or true). Labels that fit better mirrored or upside down
earn nothing. The unit is the image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Bools
from labelgrid.basics.results import Result
from labelgrid.formats.codec import LabelArray, Unsure
from labelgrid.pixel.map_fit import fit_error
from labelgrid.project.cells.random_labels import ENOUGH
from labelgrid.relations.true_agreement import (
    Interval,
    LabelPair,
    Measured,
    coverage_of,
    error_of,
    interval_of,
)
from labelgrid.tasks.task import TaskDef

#: With fewer images there is no trust.
FEWEST = ENOUGH
#: The labels of so many other images are compared with each true label.
OTHERS = 3
#: The rows and columns of turned labels.
TURNS = {
    "mirrored": (slice(None), slice(None, None, -1)),
    "upside down": (slice(None, None, -1), slice(None)),
    "rotated by 180°": (slice(None, None, -1), slice(None, None, -1)),
}
#: Trust needs this probability that the supplier is better than what it is compared with.
SURE = 0.95
#: Labels are turned with this probability that they fit better so.
TURNED = 0.99


def measure_supplied(
    pairs: Iterable[LabelPair], task: TaskDef, *, seed: int = 0
) -> tuple[Measured | None, int]:
    """Measure labels of a supplier, and count the images with comparable labels.

    The pairs are a random sample in random order. Pixels count that are valid in both labels and
    whose confidence is not 0. The `seed` draws the intervals of figures. None with fewer than
    `FEWEST` such images.
    """
    comparable = []
    results = []
    for pair in pairs:
        pair = LabelPair(pair.label.where_confident(), pair.truth)
        compared = compare(pair.label, pair.truth, task)
        if compared:
            comparable.append(pair)
            results.append(compared)
    if len(comparable) < FEWEST:
        return None, len(comparable)
    figures = {}
    for column in zip(*results, strict=True):
        values = np.array([result.value for result in column])
        low, high = interval_of(values, seed)
        figures[column[0].name] = Interval(
            value=float(values.mean()), low=low, high=high, unit=column[0].unit
        )
    errors = np.array([error_of(compared[0]) for compared in results])
    given = [pair.label for pair in comparable]
    true = [_as_given(pair) for pair in comparable]
    ignorant = nearest(
        errors,
        [
            constant_errors(comparable, task),
            stranger_errors(comparable, given, task),
            stranger_errors(comparable, true, task),
        ],
    )
    turn = better_turn(comparable, task)
    measured = Measured(
        images=len(errors),
        figures=figures,
        coverage=float(np.mean([coverage_of(*pair) for pair in comparable])),
        error=float(errors.mean()),
        chance=float(np.nanmean(ignorant)),
        trust=0.0 if turn else supplier_trust(errors, ignorant),
        turn=turn,
    )
    return measured, len(errors)


def nearest(errors: AnyFloats, others: Sequence[AnyFloats]) -> AnyFloats:
    """The errors [n] of the guess that is closest to a supplier's errors [n].

    Each guess is compared on the images where there is an error of both.

    Errors of fewer than `FEWEST` images are left out; without any, the nearest are 0.

    Example:
        >>> far, near = np.full(10, 0.9), np.full(10, 0.5)
        >>> nearest(np.full(10, 0.4), [far, near])[0]
        np.float64(0.5)
    """
    many = [values for values in others if np.isfinite(values).sum() >= FEWEST]
    shares = [_share_avoided(errors, values) for values in many]
    return many[int(np.argmin(shares))] if many else np.zeros(len(errors))


def supplier_trust(errors: AnyFloats, ignorant: AnyFloats) -> float:
    """The trust in labels, by the errors [n] of the labels and of a guess without the images [n].

    It is the share of the error that the supplier avoids on the images where both have one; 0
    unless the 90 % interval of the difference lies above 0, by the t distribution.

    Example:
        >>> some = np.linspace(0.1, 0.2, 10)
        >>> supplier_trust(some, some + 0.15), supplier_trust(some, some[::-1])
        (0.5, 0.0)
    """
    better = surely_above_0(ignorant - errors, SURE)
    return round(max(_share_avoided(errors, ignorant), 0.0), 2) if better else 0.0


def _share_avoided(errors: AnyFloats, others: AnyFloats) -> float:
    """The share of the other errors that a supplier avoids, over images with finite errors."""
    both = np.isfinite(errors) & np.isfinite(others)
    chance = float(others[both].sum())
    return 1 - float(errors[both].sum()) / chance if chance > 0 else 0.0


def surely_above_0(differences: AnyFloats, sure: float) -> bool:
    """Whether the mean of the finite differences is above 0, by the t distribution."""
    from scipy.special import stdtrit  # slow to load

    finite = differences[np.isfinite(differences)]
    if len(finite) < FEWEST:
        return False
    reach = stdtrit(len(finite) - 1, sure) * finite.std(ddof=1) / np.sqrt(len(finite))
    return bool(finite.mean() > reach)


def compare(label: LabelArray, truth: LabelArray, task: TaskDef) -> Sequence[Result]:
    """Compare a supplied label with the true label of the same size; nothing if they cannot be.

    To a map that is true up to a scale, the true label is fitted as a prediction is in training.
    Its error is a share of the map's spread, weighed by the confidence.
    """
    if label.up_to is None:
        return task.agreement(label, truth)
    both = label.valid & truth.valid
    true = label.up_to.in_map(truth.value[..., 0][both])
    return _fitted(true, label, both)


def constant_errors(pairs: Sequence[LabelPair], task: TaskDef) -> AnyFloats:
    """The error [n] of the best label that says the same everywhere; NaN without one."""
    errors = []
    for label, truth in pairs:
        both = label.valid & truth.valid
        if label.up_to is not None:
            guesses = [_fitted(np.ones(int(both.sum())), label, both)]
        else:
            guesses = []
            for value in task.spec.constants(label, truth):
                values = np.broadcast_to(value, truth.value.shape)
                constant = replace(label, value=values.astype(truth.value.dtype), valid=both)
                guesses.append(task.agreement(constant, truth))
        errors.append(min((error_of(guess[0]) for guess in guesses if guess), default=np.nan))
    return np.array(errors)


def stranger_errors(
    pairs: Sequence[LabelPair], labels: Sequence[LabelArray], task: TaskDef
) -> AnyFloats:
    """The mean error [n] of some labels of other images; NaN where none can be compared."""
    errors = []
    count = len(pairs)
    for index, (_, truth) in enumerate(pairs):
        of_others = []
        for step in range(1, min(OTHERS, count - 1) + 1):
            other = labels[(index + step) % count].resized(truth.size)
            results = compare(other, truth, task)
            of_others += [error_of(result) for result in results[:1]]
        errors.append(float(np.mean(of_others)) if of_others else np.nan)
    return np.array(errors)


def better_turn(pairs: Sequence[LabelPair], task: TaskDef) -> str:
    """The name of the turn by which labels fit better; empty if the labels are not turned.

    Pixels count that are valid in both labels as they are and turned, and in the true ones.
    """
    gains = {}
    for name, turn in TURNS.items():
        gain = np.array([_gain_turned(pair, task, turn) for pair in pairs])
        if surely_above_0(gain, TURNED):
            gains[name] = float(np.nanmean(gain))
    return max(gains, key=gains.__getitem__, default="")


def _gain_turned(pair: LabelPair, task: TaskDef, turn: tuple[slice, slice]) -> float:
    """How much smaller the error of a label is when it is turned; NaN where none compares."""
    label, truth = pair
    turned = label.part(*turn)
    both = label.valid & turned.valid
    results = [compare(replace(way, valid=both), truth, task) for way in (label, turned)]
    if not all(results):
        return float("nan")
    here, there = [error_of(result[0]) for result in results]
    return here - there


def _as_given(pair: LabelPair) -> LabelArray:
    """The true label of an image as a perfect supplier would give it."""
    label, truth = pair
    if label.up_to is None:
        return replace(truth, annotated=label.annotated)
    value = label.up_to.in_map(truth.value)
    return replace(truth, value=value, unsure=Unsure(up_to=label.up_to))


def _fitted(values: AnyFloats, label: LabelArray, both: Bools) -> Sequence[Result]:
    assert label.up_to is not None
    error = fit_error(
        values,
        label.value[..., 0][both].astype(np.float64),
        shift=label.up_to.shift,
        weights=None if label.confidence is None else label.confidence[both],
    )
    if not np.isfinite(error):
        return ()
    return (Result("error after the fit", 100 * error, "%", "lower"),)
