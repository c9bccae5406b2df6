"""Measures how images for measuring are compared with all others, against one after the other.

Both sides get the same thumbnails and find the same pairs. The other side compares one image at a
time with all others at first glance, takes the most alike, and compares these closely. Reading
images is not part of it: `shards.py` measures that.
"""

import argparse
import sys
from collections.abc import Collection

import cv2
import numpy as np
from _measure import check_limit, interleaved, machine, show

from labelgrid.evidence.near_duplicates import (
    ALIKE,
    GLANCE,
    NEAREST,
    NEIGHBOURS,
    Thumbnails,
    correlation,
    near_duplicates,
)
from labelgrid.images.thumbnails import HEIGHT, WIDTH

#: At least so many times as fast as one after the other.
BAR = 2.0
#: One of so many images looks like the one before.
COPIES = 50
BLOCK = 10_240


def thumbnails(count: int) -> Thumbnails:
    """Smooth random thumbnails, some of which are nearly alike."""
    rng = np.random.default_rng(0)
    pixels = np.empty((count, HEIGHT, WIDTH), np.uint8)
    for index, whole in enumerate(pixels):
        coarse = rng.integers(0, 256, (12, 16), np.uint8)
        whole[:] = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        if index % COPIES == 1:
            whole[:] = pixels[index - 1] // 2 + rng.integers(0, 9, (HEIGHT, WIDTH), np.uint8)
    return Thumbnails([f"{index:07d}.jpg" for index in range(count)], pixels)


def ours(whole: Thumbnails, measured: Collection[str]) -> set[tuple[str, str]]:
    """The pairs, from blocks of images."""
    blocks = []
    for start in range(0, len(whole.names), BLOCK):
        part = slice(start, start + BLOCK)
        blocks.append(Thumbnails(whole.names[part], whole.pixels[part]))
    return {(pair.measured, pair.training) for pair in near_duplicates(blocks, measured)}


def one_by_one(whole: Thumbnails, measured: Collection[str]) -> set[tuple[str, str]]:
    """The pairs, one image for measuring after the other."""
    size = GLANCE[::-1]
    small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in whole.pixels]
    glances = np.array(small, np.float32).reshape(len(small), -1)
    glances -= glances.mean(1, keepdims=True)
    glances /= np.linalg.norm(glances, axis=1, keepdims=True) + 1e-6
    excluded = np.array([name in measured for name in whole.names])
    pairs = set()
    for index in np.flatnonzero(excluded):
        likeness = glances @ glances[index]
        likeness[excluded] = -np.inf
        nearest = np.argpartition(-likeness, NEAREST)[:NEAREST]
        beside = range(max(0, index - NEIGHBOURS), min(len(small), index + NEIGHBOURS + 1))
        for other in {*nearest.tolist(), *beside}:
            pair = whole.pixels[index], whole.pixels[other]
            if not excluded[other] and correlation(*pair) >= ALIKE:
                pairs.add((whole.names[index], whole.names[other]))
    return pairs


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--measured", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args(words)
    whole = thumbnails(options.images)
    indices = np.random.default_rng(1).choice(options.images, options.measured, replace=False)
    measured = {whole.names[index] for index in indices}
    print(machine())
    print(f"{options.images:,} images, {options.measured:,} for measuring")
    pairs = ours(whole, measured)
    assert pairs == one_by_one(whole, measured), "other pairs"
    print(f"{len(pairs):,} pairs")
    times = interleaved(
        {
            "ours": lambda: ours(whole, measured),
            "one by one": lambda: one_by_one(whole, measured),
        },
        options.repeats,
    )
    show(times)
    ratio = times["one by one"].work_over(times["ours"])
    return 0 if check_limit("one by one / ours, processor time", ratio, BAR, least=True) else 1


if __name__ == "__main__":
    sys.exit(main())
