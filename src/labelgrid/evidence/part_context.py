"""Learns the usual values of each cell of a label beside further labels of the image.

A small regression on random features is fitted to the maps of a project's own labels, and judges
the maps of other images. Loads no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32, Places
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.evidence.part_grid import CELLS, GRID

#: The folds of images, and the most images that are learned from, in every second cell.
FOLDS = 4
LEARNED = 250
#: The random features, their scale, and the share of the mean variance that is added to each.
FEATURES = 256
SCALE = 1.5
RIDGE = 1e-2
#: The images that are judged at a time.
IMAGES = 256
#: The standard deviation of the means around a cell, in cells.
BLUR = 1.0
#: The largest distance of numbers, in mean squares: a few cells decide nothing.
MOST = 9.0
#: Classes are surprising by how unlikely they are for cells of their class, and by so much of how
#: unlikely they are here.
HERE = 0.5


@dataclass(frozen=True)
class CellMap:
    """The maps of one task for some images.

    Args:
        value: [n, rows, columns, c] with NaN where unknown, or the class [n, rows, columns, 1].
        classes: their number; 0: numbers.
    """

    value: Array
    classes: int

    @property
    def known(self) -> Bools:
        """The mask [n, rows, columns] of known values."""
        if self.classes:
            return np.asarray(self.value[..., 0] >= 0)
        return np.asarray(~np.isnan(self.value).any(3))

    def channels(self, images: slice | Places) -> Floats32:
        """Numbers, 0 where unknown; or a channel for each class, 1 where a cell has the class."""
        value = self.value[images]
        if self.classes:
            return (value == np.arange(self.classes)).astype(np.float32)
        return np.nan_to_num(value).astype(np.float32)


class Context:
    """A regression of the labels of a project on each other, cell by cell.

    Args:
        names: the images.
        maps: the maps of all these images, by task.
    """

    def __init__(self, names: Sequence[str], maps: Mapping[str, CellMap]) -> None:
        self._maps = maps
        self._count = len(names)
        order = np.array(drawn_places(names, seed_of(0, "part context")))
        self._fold = np.empty(len(names), np.intp)
        self._fold[order] = np.arange(len(names)) % FOLDS
        self._learned = np.sort(order[:LEARNED])

    @cached_property
    def _place(self) -> Floats32:
        """Each cell's row and column, from -1 to 1, and the squares of both."""
        sides = [np.linspace(-1, 1, side, dtype=np.float32) for side in GRID]
        down, across = np.meshgrid(*sides, indexing="ij")
        return np.stack([down, across, down**2, across**2], axis=2)

    def surprise(self, task: str, sources: Sequence[str]) -> Floats32:
        """The surprise of each cell of a task's maps beside other tasks; 0 where unknown.

        Numbers: the mean square of the distance from the expected ones, less 1. Classes: in nats,
        compared with cells of labels with the same class.
        """
        target = self._maps[task]
        if target.classes:
            return self._unlikely_classes(target, sources)
        far = np.zeros(target.value.shape[:3], np.float32)
        for some, expected in self.expected(target, sources):
            far[some] = np.nan_to_num(((target.value[some] - expected) ** 2).sum(3))
        is_known = target.known
        usual = float(far[is_known].mean()) + 1e-9
        return np.where(is_known, np.minimum(far / usual, MOST) - 1, 0).astype(np.float32)

    def _unlikely_classes(self, target: CellMap, sources: Sequence[str]) -> Floats32:
        chosen_logs = np.zeros(target.value.shape[:3], np.float32)
        here = np.zeros_like(chosen_logs)
        for some, expected in self.expected(target, sources):
            chosen = np.maximum(target.value[some], 0).astype(np.intp)
            logs = np.log(expected)
            chosen_logs[some] = np.take_along_axis(logs, chosen, 3)[..., 0]
            best = logs.max(3)
            here[some] = best - chosen_logs[some] - (expected * (best[..., None] - logs)).sum(3)
        is_known = target.known
        number = np.maximum(target.value[..., 0], 0)
        counts = np.bincount(number[is_known], minlength=target.classes)
        sums = np.bincount(number[is_known], chosen_logs[is_known], minlength=target.classes)
        usual = (sums / np.maximum(counts, 1))[number]
        return np.where(is_known, usual - chosen_logs + HERE * here, 0).astype(np.float32)

    def expected(self, target: CellMap, sources: Sequence[str]) -> Iterator[tuple[slice, Floats32]]:
        """The expected values of the cells of maps beside other tasks, some images at a time.

        Yields:
            The images, and [n, rows, columns, c]: the numbers, or the probability of each class.
        """
        generator = np.random.default_rng(0)
        chessboard = np.add.outer(np.arange(GRID[0]), np.arange(GRID[1])) % 2 == 0
        second = np.tile(chessboard.ravel(), len(self._learned))
        inputs = self._inputs(sources, self._learned)[second]
        width = inputs.shape[1]
        weights = generator.standard_normal((width, FEATURES)) * SCALE / np.sqrt(width)
        features = partial(
            _features,
            middle=inputs.mean(0),
            spread=inputs.std(0) + 1e-3,
            weights=weights.astype(np.float32),
            offsets=generator.standard_normal(FEATURES).astype(np.float32),
        )
        wanted = target.channels(self._learned).reshape(len(second), -1)[second]
        is_known = target.known[self._learned].ravel()[second]
        fold = np.repeat(self._fold[self._learned], CELLS)[second]
        solutions = _solve(features(inputs), wanted, is_known, fold)
        for start in range(0, self._count, IMAGES):
            some = slice(start, min(start + IMAGES, self._count))
            fold = self._fold[some]
            rows = features(self._inputs(sources, some)).reshape(len(fold), CELLS, -1)
            expected = np.empty((len(fold), *GRID, wanted.shape[1]), np.float32)
            for number, solution in enumerate(solutions):
                in_fold = fold == number
                expected[in_fold] = (rows[in_fold] @ solution).reshape(-1, *GRID, wanted.shape[1])
            if target.classes:
                bounded = np.clip(expected, 0.004, 1.0)
                expected = bounded / bounded.sum(3, keepdims=True)
            yield some, expected

    def _inputs(self, sources: Sequence[str], images: slice | Places) -> Floats32:
        count = len(self._fold[images])
        parts: list[Array] = [np.broadcast_to(self._place, (count, *GRID, 4))]
        for task in sources:
            channels = self._maps[task].channels(images)
            unknown = ~self._maps[task].known[images]
            parts += [channels, np.stack(list(map(_around, channels))), unknown[..., None]]
        return np.concatenate(parts, axis=3).reshape(count * CELLS, -1).astype(np.float32)


def _around(channels: Floats32) -> Floats32:
    import cv2  # imported late: few commands compare labels

    border = cv2.BORDER_REPLICATE
    blurred = cv2.GaussianBlur(np.ascontiguousarray(channels), (0, 0), BLUR, borderType=border)
    return np.asarray(blurred, np.float32).reshape(channels.shape)


def _features(
    inputs: Floats32, *, middle: Floats32, spread: Floats32, weights: Floats32, offsets: Floats32
) -> Floats32:
    """Random features of rows of inputs, and the inputs themselves."""
    plain = (inputs - middle) / spread
    bent = np.maximum(plain @ weights + offsets, 0)
    one = np.ones((len(plain), 1), np.float32)
    return np.concatenate([bent, plain, one], axis=1).astype(np.float32)


def _solve(features: Floats32, wanted: Floats32, is_known: Bools, fold: Places) -> list[Floats32]:
    """The weights for each fold by ridge regression on all other folds."""
    squares = []
    products = []
    for number in range(FOLDS):
        in_fold = is_known & (fold == number)
        squares.append(features[in_fold].T @ features[in_fold])
        products.append(features[in_fold].T @ wanted[in_fold])
    solutions = []
    for number in range(FOLDS):
        matrix = np.delete(squares, number, 0).sum(0, dtype=np.float64)
        ridge = RIDGE * max(np.trace(matrix) / len(matrix), 1e-6)
        right = np.delete(products, number, 0).sum(0, dtype=np.float64)
        solution = np.linalg.solve(matrix + ridge * np.eye(len(matrix)), right)
        solutions.append(solution.astype(np.float32))
    return solutions
