"""Writes frames of videos, which look alike, and photographs, which do not."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (120, 160)


def scene(seed: int, margin: int = 16) -> NDArray[np.uint8]:
    """A picture of boxes, larger than a frame by a margin."""
    rng = np.random.default_rng(seed)
    height, width = SIZE[0] + margin, SIZE[1] + margin
    image = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(40):
        y, x = rng.integers(0, height), rng.integers(0, width)
        tall, wide = rng.integers(8, 50, 2)
        image[y : y + tall, x : x + wide] = rng.integers(0, 256, 3)
    return image


def frame(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The frame of a video that moves over a picture, with noise."""
    part = picture[number : number + SIZE[0], number : number + SIZE[1]]
    noise = np.random.default_rng(number).normal(0, 3, part.shape)
    return np.clip(part + noise, 0, 255).astype(np.uint8)


def video(folder: Path, name: str, frames: int = 10, *, seed: int = 0, first: int = 0) -> None:
    """Write frames of a video; `name` has a place for the number."""
    picture = scene(seed)
    for number in range(frames):
        path = folder / name.format(first + number)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), frame(picture, number))


def photographs(folder: Path, count: int = 24) -> None:
    """Write pictures of different things."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"photo_{number:04d}.jpg"), frame(scene(1000 + number), 0))
