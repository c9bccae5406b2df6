"""Made rooms of many classes, for tests of imports whose files are valid and whose labels are wrong."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.uint8]

#: Class -> the share of rooms that have it, its middle from the top and from the left, its height
#: and width, as shares of the image. The first two fill the rest.
THINGS = {
    "wall": (1.0, 0.0, 0.0, 0.0, 0.0),
    "floor": (1.0, 0.0, 0.0, 0.0, 0.0),
    "window": (0.9, 0.2, 0.2, 0.25, 0.2),
    "picture": (0.7, 0.2, 0.7, 0.15, 0.12),
    "lamp": (0.5, 0.15, 0.5, 0.2, 0.06),
    "table": (0.9, 0.7, 0.5, 0.2, 0.4),
    "chair": (0.6, 0.75, 0.2, 0.25, 0.15),
    "rug": (0.4, 0.92, 0.5, 0.1, 0.5),
    "door": (0.3, 0.4, 0.9, 0.5, 0.12),
    "sofa": (0.5, 0.6, 0.8, 0.2, 0.3),
    "book": (0.8, 0.62, 0.55, 0.06, 0.08),
    "hat": (0.2, 0.35, 0.4, 0.08, 0.1),
}
CLASSES = tuple(THINGS)
SIZE = (96, 128)


def room(number: int, size: tuple[int, int] = SIZE) -> Index:
    """The classes of a room, uint8 [h, w]."""
    rng = np.random.default_rng(number)
    height, width = size
    index = np.zeros(size, np.uint8)
    index[round(height * rng.uniform(0.5, 0.6)) :] = 1
    for place, (share, down, right, tall, wide) in enumerate(THINGS.values()):
        if place < 2 or rng.random() > share:
            continue
        top = round(height * (down - tall / 2 + rng.normal(0, 0.03)))
        left = round(width * (right - wide / 2 + rng.normal(0, 0.04)))
        bottom = top + round(height * tall)
        index[max(top, 0) : bottom, max(left, 0) : left + round(width * wide)] = place
    return index


def lines(index: Index) -> Index:
    """The borders of the classes as an edge map."""
    found = np.zeros(index.shape, np.uint8)
    found[:, 1:] |= index[:, 1:] != index[:, :-1]
    found[1:] |= index[1:] != index[:-1]
    return found * np.uint8(255)


def depth(index: Index) -> npt.NDArray[np.uint16]:
    """A depth map in millimetres: the floor comes nearer, and things stand before the wall."""
    rows = np.broadcast_to(1 / np.linspace(1 / 5, 1, len(index))[:, None], index.shape)
    return (1000 * (rows + 0.05 * index)).astype(np.uint16)


def photograph(index: Index) -> npt.NDArray[np.uint8]:
    """A picture of a room, each class in its colour."""
    colours = np.random.default_rng(0).integers(30, 220, (len(CLASSES), 3))
    noise = np.random.default_rng(int(index.sum())).normal(0, 4, (*index.shape, 3))
    return np.clip(colours[index] + noise, 0, 255).astype(np.uint8)


def images(folder: Path, count: int) -> Path:
    """Write photographs of the first rooms."""
    folder.mkdir()
    for number in range(count):
        assert cv2.imwrite(str(folder / f"{number:03d}.png"), photograph(room(number)))
    return folder


def labels(
    folder: Path,
    task: str,
    numbers: range,
    make: Callable[[Index], npt.NDArray[np.generic]] = lambda index: index,
) -> Path:
    """Write labels of rooms: what is made of their classes; floating-point numbers as `.npy`."""
    (folder / task).mkdir(parents=True)
    for number in numbers:
        pixels = make(room(number))
        path = folder / task / f"{number:03d}.png"
        if pixels.dtype == np.float32:
            np.save(path.with_suffix(".npy"), pixels)
        else:
            assert cv2.imwrite(str(path), pixels)
    return folder


def renumber(order: list[int]) -> Callable[[Index], Index]:
    """Files in which class `place` has the number `order[place]`."""
    table = np.array(order, np.uint8)
    return lambda index: table[index]


def unlabelled_rims(index: Index) -> Index:
    """Classes counted from 1; 0, not labelled, between all of them. The last class is absent."""
    rims = cv2.dilate(lines(index), np.ones((3, 3), np.uint8)) > 0
    kept = np.where(index == len(CLASSES) - 1, 0, index)
    return np.where(rims, 0, kept + 1).astype(np.uint8)


def smoothed(index: Index) -> Index:
    """A class map that was made smaller and larger again, linearly."""
    half = (index.shape[1] // 2, index.shape[0] // 2)
    small = cv2.resize(index, half, interpolation=cv2.INTER_LINEAR)
    return cv2.resize(small, index.shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)
