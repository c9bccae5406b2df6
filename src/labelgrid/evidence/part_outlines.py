"""Learns the places of a label's lines from the lines of the image and of further labels.

A logistic regression on how strong those lines are near a pixel says how likely the label has one
there. A part is odd if its lines are less likely than usual. If the lines of two labels do not
follow each other, the label whose lines are less likely beside all others is wrong. Loads no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Bytes, Floats, Floats32, Places
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.evidence.part_grid import GRID, rectangles
from labelgrid.evidence.part_marks import (
    FOLLOWED,
    IMAGE,
    LEVELS,
    MARKED,
    STRONG,
    Marks,
    unpack_marks,
)

#: Lines are seen within so many pixels, as the sides of squares.
NEAR = (3, 7)
#: A line follows another one that is in the square of this side.
FOLLOWS = 5
#: Of at most so many images, so many pixels are learned from.
LEARNED = 250
PIXELS = 12_000
RIDGE = 1.0
#: No line is likelier or less likely than by these logarithms of the odds.
SURE = 7.0
#: Neighbouring pixels are alike: a sum over them varies by so many times more, and by so much.
ALIKE = 6.0
FLAT = 30.0
#: In a wrong part, at least so many of the lines do not follow the other's. A task says nothing of
#: another one if more than `USUAL` of its lines do not in one of ten labels: that share is usual.
WRONG = 0.5
USUAL = 0.35
ONE_OF_TEN = 0.9
#: So many neighbouring pixels of a line count as one.
ONE = 8.0
#: The odds of a few pixels are taken for usual, as if so many others were.
FEW = 8.0
#: So many images at a time are judged.
IMAGES = 128

Levels = Bytes


class ApartLines(NamedTuple):
    """The least agreeing parts of the lines of two labels, one for each image.

    Args:
        value: how little, for each image.
        rectangle: the part.
        blame: the log odds by which the first label is less likely than the second.
    """

    value: Floats
    rectangle: Places
    blame: Floats


class CellSums(NamedTuple):
    """The surprise of the lines in each image's cells, beyond the expected, and the variance."""

    surprise: Floats32
    variance: Floats32

    def oddness(self) -> Floats32:
        """The oddness of each rectangle beside the rest of its image, in standard deviations."""
        grid = rectangles()
        inside = grid.sums(self.surprise)
        varies = grid.sums(self.variance)
        outside = self.surprise.sum((1, 2))[:, None] - inside
        rest = self.variance.sum((1, 2))[:, None] - varies
        usual = np.maximum(outside / (rest + FLAT), 0)
        return np.asarray((inside - usual * varies) / np.sqrt(ALIKE * varies + FLAT), np.float32)

    def within(self, image: int, cells: Bools) -> float:
        """The oddness of some cells of an image."""
        varies = float(self.variance[image][cells].sum())
        return float(self.surprise[image][cells].sum()) / np.sqrt(ALIKE * varies + FLAT)


class _Odds(NamedTuple):
    """The odds of a task's lines by a table of each source, and the usual odds of the lines."""

    task: str
    tables: Mapping[str, Floats32]
    base: float
    usual: float

    def of(self, near: Mapping[str, Sequence[Levels]]) -> Floats32:
        total = np.full(near[self.task][0].shape, self.base, np.float32)
        for source, tables in self.tables.items():
            for table, levels in zip(tables, near[source], strict=True):
                total += table[levels]
        return np.clip(total, -SURE, SURE)


class Outlines:
    """The lines of the labels of some images.

    Args:
        names: the images.
        marks: the marks of each image's label, by task; None: no label. Under `IMAGE`: the image's
            edges.
        drawn: the tasks whose labels are lines or have borders.
    """

    def __init__(self, names: Sequence[str], marks: Marks, drawn: Sequence[str]) -> None:
        self._marks = marks
        self._count = len(names)
        self.tasks = [task for task in marks if task != IMAGE]
        self.pairs = list(combinations([task for task in self.tasks if task in drawn], 2))
        self._learned = drawn_places(names, seed_of(0, "part outlines"))[:LEARNED]
        self._odds = cache(self._learn)

    def beside(self, *tasks: str) -> list[str]:
        """The sources of lines without some tasks."""
        return [source for source in self._marks if source not in tasks]

    def odd(self) -> dict[str, tuple[Floats, Places]]:
        """The oddness and the rectangle of each label's part with the least likely lines, by task.

        Lines are seen beside all other sources; a task without any is left out.
        """
        odds = {task: self._odds(task, ()) for task in self.tasks if self.beside(task)}
        parts: dict[str, list[tuple[Floats32, Places]]] = {task: [] for task in odds}
        for levels in self._batches():
            near = _near(levels)
            for task, learned in odds.items():
                value = _cells(levels[task], learned.of(near)).oddness()
                parts[task].append((value.max(1), value.argmax(1)))
        odd_parts = {}
        for task, batches in parts.items():
            values, places = zip(*batches, strict=True)
            odd_parts[task] = (np.concatenate(values).astype(np.float64), np.concatenate(places))
        return odd_parts

    def cells(self, task: str, without: Sequence[str]) -> CellSums:
        """The surprise of the lines of a task beside all sources but some."""
        learned = self._odds(task, tuple(sorted(without)))
        parts = [_cells(levels[task], learned.of(_near(levels))) for levels in self._batches()]
        surprise, variance = zip(*parts, strict=True)
        return CellSums(np.concatenate(surprise), np.concatenate(variance))

    def apart(self, one: str, other: str) -> ApartLines | None:
        """The part of each image in which the lines of two tasks differ most.

        None if the lines of the two usually do not follow each other.
        """
        ways = [(one, other), (other, one)]
        usual = [self._usually_alone(*way) for way in ways]
        if min(usual) > USUAL:
            return None
        odds = [self._odds(task, (its,)) for task, its in ways]
        values = []
        blames = []
        places = []
        for levels in self._batches():
            total = np.zeros((len(levels[one]), *GRID), np.float32)
            likely = []
            near = _near(levels)
            for way, (task, its) in enumerate(ways):
                alone, lines = _alone(levels[task], levels[its])
                excess = np.where(alone, odds[way].of(near) - odds[way].usual, 0)
                apart = _summed(alone)
                likely.append((_summed(excess), apart))
                if usual[way] <= USUAL:
                    total += _against(_summed(lines), apart, usual[way])
            sums = rectangles().sums(total)
            place = sums.argmax(1)
            values.append(sums.max(1))
            places.append(place)
            blames.append(_blame(place, likely))
        value = np.concatenate(values).astype(np.float64)
        return ApartLines(value, np.concatenate(places), np.concatenate(blames))

    def _levels(self, source: str, images: Sequence[int]) -> Levels:
        return np.stack([unpack_marks(self._marks[source][image]) for image in images])

    def _batches(self) -> Iterator[dict[str, Levels]]:
        for start in range(0, self._count, IMAGES):
            some = range(start, min(start + IMAGES, self._count))
            yield {source: self._levels(source, some) for source in self._marks}

    @cached_property
    def _learning(self) -> tuple[dict[str, Levels], dict[str, list[Levels]]]:
        levels = {source: self._levels(source, self._learned) for source in self._marks}
        return levels, _near(levels)

    def _learn(self, task: str, without: tuple[str, ...]) -> _Odds:
        from scipy.sparse import csr_array  # imported late: few commands compare labels

        levels, near = self._learning
        known_pixels = np.flatnonzero(levels[task] != LEVELS)
        generator = np.random.default_rng(seed_of(0, "part outlines", task, *without))
        some = generator.choice(known_pixels, min(PIXELS, len(known_pixels)), replace=False)
        lines = (levels[task].ravel()[some] >= STRONG).astype(np.float64)
        sources = self.beside(task, *without)
        columns = [level_map.ravel()[some] for source in sources for level_map in near[source]]
        width = LEVELS + 1
        last = np.full(len(some), len(columns) * width)
        chosen = [place * width + column.astype(int) for place, column in enumerate(columns)]
        places = np.stack([*chosen, last], axis=1)
        starts = np.arange(0, places.size + 1, places.shape[1])
        size = (len(some), len(columns) * width + 1)
        inputs = csr_array((np.ones(places.size), places.ravel(), starts), shape=size)
        weights = _logistic(inputs, lines)
        tables = weights[:-1].reshape(len(sources), len(NEAR), width).astype(np.float32)
        line_odds = np.clip(inputs[lines > 0] @ weights, -SURE, SURE)
        usual = float(line_odds.mean()) if len(line_odds) else 0.0
        return _Odds(task, dict(zip(sources, tables, strict=True)), float(weights[-1]), usual)

    def _usually_alone(self, task: str, its: str) -> float:
        """The share of a task's lines that usually does not follow another task's."""
        levels, _ = self._learning
        alone, lines = _alone(levels[task], levels[its])
        amounts = lines.sum((1, 2))
        some = amounts > 0
        if not some.any():
            return 1.0
        return float(np.quantile(alone.sum((1, 2))[some] / amounts[some], ONE_OF_TEN)) + 0.01


def _near(levels: Mapping[str, Levels]) -> dict[str, list[Levels]]:
    """The strongest level near each pixel, for each of `NEAR`; unknown pixels stay unknown."""
    import cv2  # imported late: few commands compare labels

    strongest: dict[str, list[Levels]] = {}
    for source, maps in levels.items():
        unknown = maps == LEVELS
        filled = np.where(unknown, 0, maps).astype(np.uint8)
        strongest[source] = []
        for side in NEAR:
            square = np.ones((side, side), np.uint8)
            dilated = np.stack([cv2.dilate(level_map, square) for level_map in filled])
            strongest[source].append(np.where(unknown, LEVELS, dilated).astype(np.uint8))
    return strongest


def _logistic(inputs: Any, lines: Floats) -> Floats:
    """The weights of a logistic regression on sparse inputs, equal on any machine."""
    from scipy.optimize import minimize  # imported late: few commands compare labels
    from scipy.sparse import diags_array
    from scipy.special import expit

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = inputs @ weights
        total = (np.logaddexp(0, odds) - lines * odds).sum() + RIDGE / 2 * (weights**2).sum()
        return float(total), inputs.T @ (expit(odds) - lines) + RIDGE * weights

    def bend(weights: Floats) -> Floats:
        likely = expit(inputs @ weights)
        squares = inputs.T @ diags_array(likely * (1 - likely)) @ inputs
        return np.asarray(squares.toarray()) + RIDGE * np.eye(len(weights))

    start = np.zeros(inputs.shape[1])
    return np.asarray(minimize(loss, start, jac=True, hess=bend, method="trust-exact").x)


def _summed(pixels: NDArray[np.generic]) -> Floats32:
    rows, columns = (fine // coarse for fine, coarse in zip(MARKED, GRID, strict=True))
    blocks = pixels.reshape(len(pixels), GRID[0], rows, GRID[1], columns)
    return np.asarray(blocks.sum((2, 4), dtype=np.float32))


def _cells(levels: Levels, odds: Floats32) -> CellSums:
    """The surprise of the lines in each cell, beyond the expected by their odds."""
    yes = -np.logaddexp(0, -odds)
    no = -np.logaddexp(0, odds)
    likely = np.exp(yes)
    is_known = levels != LEVELS
    expected = likely * yes + (1 - likely) * no
    surprise = np.where(is_known, expected - np.where(levels >= STRONG, yes, no), 0)
    variance = np.where(is_known, likely * (1 - likely) * odds**2, 0)
    return CellSums(_summed(surprise), _summed(variance))


def _alone(levels: Levels, its: Levels) -> tuple[Bools, Bools]:
    """The lines that do not follow another task's, and all lines; none at unknown pixels."""
    import cv2

    square = np.ones((FOLLOWS, FOLLOWS), np.uint8)
    lines = (levels >= STRONG) & (levels != LEVELS) & (its != LEVELS)
    near = np.stack(
        [cv2.dilate((level_map >= FOLLOWED).astype(np.uint8), square) for level_map in its]
    )
    return lines & (near == 0), lines


def _against(lines: Floats32, alone: Floats32, usual: float) -> Floats32:
    """The evidence in nats that each cell's lines are of a wrong part."""
    wrong = max(WRONG, min(0.9, 2 * usual))
    apart = alone * np.log(wrong / usual)
    follow = (lines - alone) * np.log((1 - wrong) / (1 - usual))
    return np.asarray((apart + follow) / ONE, np.float32)


def _blame(place: Places, likely: Sequence[tuple[Floats32, Floats32]]) -> Floats:
    """The excess of surprise of the first task's lone lines over the second's, by image."""
    grid = rectangles()
    differences = []
    for image, index in enumerate(place.tolist()):
        inside = grid.mask(index, grown=True)
        means = []
        for odds, alone in likely:
            means.append(float(odds[image][inside].sum() / (alone[image][inside].sum() + FEW)))
        differences.append(means[1] - means[0])
    return np.array(differences)
