"""Measures derived or supplied labels on images with true labels, and the trust in them.

They follow by a relation, or a supplier gave them. Loads no torch.

The unit is the image: a figure is the mean over images, and its interval is drawn from images.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.camera import Camera
from labelgrid.basics.results import Result
from labelgrid.basics.streams import stream
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef

#: The fewest images that labels are measured on.
FEWEST = 2
#: With fewer images, an interval reaches from the best to the worst of them.
MANY = 6
#: Drawn means of an interval, and the share of them below and above it.
DRAWS = 2000
TAIL = 0.025
#: The label of each image is compared with those of so many others.
OTHERS = 3


class LabelPair(NamedTuple):
    """A measured label, and the true label of the same image and task."""

    label: LabelArray
    truth: LabelArray


@dataclass(frozen=True)
class TruePair:
    """The true labels of an image that a relation connects.

    Args:
        labels: the labels that the relation reads, by task.
        truth: the label that it should derive.
        camera: the camera of the image; None: unknown.
    """

    labels: Mapping[str, LabelArray]
    truth: LabelArray
    camera: Camera | None = None

    @property
    def size(self) -> Size:
        """The height and width of the image in pixels."""
        return self.truth.size

    def camera_by(self, view: float | None) -> Camera | None:
        """The camera of the image, or else a camera by the field of view in degrees."""
        if self.camera is None and view is not None:
            return Camera.of_view(view, self.size)
        return self.camera

    def derive(self, relation: BoundRelation, view: float | None = None) -> LabelArray:
        """The derived label; `view` is the field of view of an unknown camera, in degrees."""
        return relation.label(self.labels, self.camera_by(view))


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over images, with its 95 % interval."""

    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How well labels agree with true ones.

    Args:
        images: the number of images in which they can be compared.
        figures: the figures by name; trust follows from the first.
        coverage: the share of the true labels' pixels that they reach.
        error: the first figure as an error, at the unfavourable end of its interval; the mean of a
            supplier's labels.
        chance: the error of another image's true label; for a supplier, that of its labels of other
            images, or of the best constant label if smaller.
        trust: the trust from 0 to 1, see `trust_of`, and `supplier_trust` for suppliers.
        turn: how a supplier's labels fit better, such as mirrored; empty: as they are.
    """

    images: int
    figures: Mapping[str, Interval]
    coverage: float
    error: float
    chance: float
    trust: float
    turn: str = ""

    @property
    def use(self) -> float:
        """Trust times coverage: how much derived labels teach, relative to true labels."""
        return self.trust * self.coverage


def trust_of(error: float, chance: float) -> float:
    """The trust in labels with an error, where another image's label has the error `chance`.

    An error is as large as if a share of it, of chance, were taken from other images and the rest
    were exact. Trust is the share that is right minus the share that is wrong: 1 without error, 0
    if as much is wrong as is right.

    Example:
        >>> trust_of(0.0, 50.0), trust_of(5.0, 50.0), trust_of(25.0, 50.0), trust_of(60.0, 50.0)
        (1.0, 0.8, 0.0, 0.0)
    """
    if not chance > 0:
        return 0.0  # every label is like every other: nothing can be told
    return round(max(0.0, 1 - 2 * error / chance), 2)


def measure_relation(
    relation: BoundRelation,
    pairs: Sequence[TruePair],
    task: TaskDef,
    *,
    view: float | None = None,
    seed: int = 0,
) -> Measured | None:
    """Measure a relation on images; None if fewer than two can be compared.

    The pairs are a random sample in random order. `view` is the field of view of unknown cameras in
    degrees; `seed` draws the interval.
    """
    made = (LabelPair(pair.derive(relation, view), pair.truth) for pair in pairs)
    return measure_labels(made, task, seed=seed)


def measure_labels(pairs: Iterable[LabelPair], task: TaskDef, *, seed: int = 0) -> Measured | None:
    """Measure labels on images with true ones; None if fewer than two can be compared.

    The pairs are a random sample in random order. Pixels count that are valid in both labels. The
    `seed` draws the interval.
    """
    truths = []
    results = []
    coverages = []
    for label, truth in pairs:
        truths.append(truth)
        results.append(task.agreement(label, truth))
        coverages.append(coverage_of(label, truth))
    results = [comparison for comparison in results if comparison]
    if len(results) < FEWEST:
        return None
    intervals = {}
    for column in zip(*results, strict=True):
        values = np.array([result.value for result in column])
        low, high = interval_of(values, seed)
        first = column[0]
        intervals[first.name] = Interval(
            value=float(values.mean()), low=low, high=high, unit=first.unit
        )
    errors = np.array([error_of(result[0]) for result in results])
    error = interval_of(errors, seed)[1]
    chance = chance_error(truths, task)
    return Measured(
        images=len(results),
        figures=intervals,
        coverage=float(np.mean(coverages)),
        error=error,
        chance=chance,
        trust=trust_of(error, chance),
    )


def error_of(result: Result) -> float:
    """A result as an error: 0 is best, and a percentage is subtracted from 100."""
    return result.value if result.better == "lower" else 100 - result.value


def coverage_of(label: LabelArray, truth: LabelArray) -> float:
    """The share of a true label's pixels that another label of the image reaches."""
    return float((label.valid & truth.valid).sum() / max(truth.valid.sum(), 1))


def chance_error(truths: Sequence[LabelArray], task: TaskDef) -> float:
    """The mean error of other images' labels; 0 if no label can be compared."""
    errors = []
    for index, truth in enumerate(truths):
        for step in range(1, min(OTHERS, len(truths) - 1) + 1):
            other = truths[(index + step) % len(truths)].resized(truth.size)
            results = task.agreement(other, truth)
            if results:
                errors.append(error_of(results[0]))
    if not errors:
        return 0.0
    return float(np.mean(errors))


def interval_of(values: Array, seed: int) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean over images."""
    count = len(values)
    if count < MANY:
        return float(values.min()), float(values.max())
    rows = stream(seed, "relate").integers(0, count, (DRAWS, count))
    low, high = np.quantile(values[rows].mean(1), (TAIL, 1 - TAIL))
    return float(low), float(high)
