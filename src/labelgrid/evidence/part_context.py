"""Learns what each cell of a label usually holds beside the other labels of its image.

A small regression on random features is fitted to the maps of a project's own labels, and judges
those of the images that it did not learn from. Loads no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats, Floats32, Places
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.evidence.part_grid import CELLS, GRID

#: Images are divided into so many folds; at most so many are learned from, in every second cell.
FOLDS = 4
LEARNED = 250
#: The random features, their scale, and the share of the mean variance that is added to each.
FEATURES = 256
SCALE = 1.5
RIDGE = 1e-2
#: So many images at a time are judged.
IMAGES = 256
#: Cells are seen with the means of those around them, blurred by so many.
BLUR = 1.0


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
        """Where the values are known, [n, rows, columns]."""
        if self.classes:
            return np.asarray(self.value[..., 0] >= 0)
        return ~np.isnan(self.value).any(3)

    def channels(self, images: slice | Places) -> Floats32:
        """The values of some images as numbers, 0 where unknown; of classes, 1 for that one."""
        value = self.value[images]
        if self.classes:
            return (value == np.arange(self.classes)).astype(np.float32)
        return np.nan_to_num(value).astype(np.float32)


class Context:
    """What the labels of a project say of each other, cell by cell.

    Args:
        names: the images.
        maps: by task, those of all of these images.
    """

    def __init__(self, names: Sequence[str], maps: Mapping[str, CellMap]) -> None:
        self._maps = maps
        self._count = len(names)
        draws = keyed_uniform(image_keys(names), seed_of(0, "part context"))
        order = np.argsort(draws, kind="stable")
        self._fold = np.empty(len(names), np.intp)
        self._fold[order] = np.arange(len(names)) % FOLDS
        self._learned = np.sort(order[:LEARNED])

    @cached_property
    def _place(self) -> Floats32:
        """Where each cell is."""
        sides = [np.linspace(-1, 1, side, dtype=np.float32) for side in GRID]
        down, across = np.meshgrid(*sides, indexing="ij")
        return np.stack([down, across, down**2, across**2], axis=2)

    def expected(self, target: CellMap, sources: Sequence[str]) -> Iterator[tuple[slice, Floats32]]:
        """What the cells of maps are expected to hold, some images at a time.

        Args:
            target: the maps.
            sources: the tasks whose labels say it.

        Yields:
            The images, and [n, rows, columns, c]: the numbers, or the probability of each class.
        """
        generator = np.random.default_rng(0)
        second = _every_second(len(self._learned))
        inputs = self._inputs(sources, self._learned)[second]
        width = inputs.shape[1]
        middle = inputs.mean(0)
        spread = inputs.std(0) + 1e-3
        weights = generator.standard_normal((width, FEATURES)) * SCALE / np.sqrt(width)
        offsets = generator.standard_normal(FEATURES)
        features = _Features(middle, spread, weights.astype(np.float32), offsets)
        learned = features.of(inputs)
        channels = target.channels(self._learned)
        wanted = channels.reshape(len(second), -1)[second]
        known = target.known[self._learned].ravel()[second]
        fold = np.repeat(self._fold[self._learned], CELLS)[second]
        solutions = _solve(learned, wanted, known, fold)
        for start in range(0, self._count, IMAGES):
            some = slice(start, min(start + IMAGES, self._count))
            fold = self._fold[some]
            rows = features.of(self._inputs(sources, some)).reshape(len(fold), CELLS, -1)
            found = np.empty((len(fold), *GRID, wanted.shape[1]), np.float32)
            for number, solution in enumerate(solutions):
                own = fold == number
                found[own] = (rows[own] @ solution).reshape(-1, *GRID, wanted.shape[1])
            yield some, _probabilities(found) if target.classes else found

    def _inputs(self, sources: Sequence[str], images: slice | Places) -> Floats32:
        """What is known of each cell of some images."""
        import cv2  # imported late: few commands compare labels

        count = len(self._fold[images])
        parts: list[Array] = [np.broadcast_to(self._place, (count, *GRID, 4))]
        for task in sources:
            channels = self._maps[task].channels(images)
            unknown = ~self._maps[task].known[images]
            around = np.stack([_around(cv2, each) for each in channels])
            parts += [channels, around, unknown[..., None]]
        return np.concatenate(parts, axis=3).reshape(count * CELLS, -1).astype(np.float32)


def _every_second(images: int) -> Bools:
    """Every second cell of so many images, as the fields of one colour of a chessboard."""
    chessboard = np.add.outer(np.arange(GRID[0]), np.arange(GRID[1])) % 2 == 0
    return np.tile(chessboard.ravel(), images)


def _around(cv2: Any, channels: Floats32) -> Floats32:
    """The means around each cell."""
    border = cv2.BORDER_REPLICATE
    blurred = cv2.GaussianBlur(np.ascontiguousarray(channels), (0, 0), BLUR, borderType=border)
    return np.asarray(blurred, np.float32).reshape(channels.shape)


@dataclass(frozen=True)
class _Features:
    """Random features of inputs, and these themselves."""

    middle: Floats32
    spread: Floats32
    weights: Floats32
    offsets: Floats

    def of(self, inputs: Floats32) -> Floats32:
        """The features of rows of inputs."""
        plain = (inputs - self.middle) / self.spread
        bent = np.maximum(plain @ self.weights + self.offsets.astype(np.float32), 0)
        one = np.ones((len(plain), 1), np.float32)
        return np.concatenate([bent, plain, one], axis=1).astype(np.float32)


def _solve(features: Floats32, wanted: Floats32, known: Bools, fold: Places) -> list[Floats32]:
    """For each fold, the weights that are best for all others, by ridge regression."""
    squares = []
    products = []
    for number in range(FOLDS):
        own = known & (fold == number)
        squares.append(features[own].T @ features[own])
        products.append(features[own].T @ wanted[own])
    solutions = []
    for number in range(FOLDS):
        others = [place for place in range(FOLDS) if place != number]
        matrix = np.stack([squares[place] for place in others]).sum(0, dtype=np.float64)
        ridge = RIDGE * max(np.trace(matrix) / len(matrix), 1e-6)
        right = np.stack([products[place] for place in others]).sum(0, dtype=np.float64)
        solution = np.linalg.solve(matrix + ridge * np.eye(len(matrix)), right)
        solutions.append(solution.astype(np.float32))
    return solutions


def _probabilities(shares: Floats32) -> Floats32:
    """Shares of classes, above 0, with the sum 1."""
    bounded = np.clip(shares, 0.004, 1.0)
    return np.asarray(bounded / bounded.sum(3, keepdims=True), np.float32)
