"""Measures the superpixels of an image of 640x480, against scikit-image's SLIC of all its pixels.

Both sides end with regions numbered for labels. The limit is on processor time; most is SLIC's own.
"""

import argparse
import sys
from statistics import median

import cv2
import numpy as np
from _measure import check_limit, interleaved, machine, show
from numpy.typing import NDArray
from skimage.segmentation import slic

from labelgrid.regions.maker import ImageToDivide, build_maker
from labelgrid.regions.partition import Partition

LIMIT = 60.0
LEAST = 3.0


def made_image(height: int, width: int) -> NDArray[np.uint8]:
    """Soft colours with the noise of a camera."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 255, (12, 16, 3)).astype(np.float32)
    soft = cv2.resize(colours, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = soft + random.normal(0, 8, soft.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def whole(pixels: NDArray[np.uint8]) -> Partition:
    """SLIC as it comes, of all pixels."""
    return Partition.of(slic(pixels, n_segments=40, compactness=20.0, start_label=1))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args(words)
    height, width = options.size
    pixels = made_image(height, width)
    maker = build_maker("superpixels", {})
    image = ImageToDivide(image_id="made.png", size=(height, width), read=lambda: pixels)
    print(machine())
    print(f"ours: {maker.make(image)}  SLIC of all pixels: {whole(pixels)}")
    sides = {"ours": lambda: maker.make(image), "SLIC of all pixels": lambda: whole(pixels)}
    times = interleaved(sides, options.repeats)
    show(times)
    ours = median(times["ours"].processor) * 1e3
    ratio = times["SLIC of all pixels"].work_over(times["ours"])
    holds = check_limit("superpixels of an image, processor time", ours, LIMIT, "ms")
    return 0 if check_limit("SLIC of all pixels / ours", ratio, LEAST, least=True) and holds else 1


if __name__ == "__main__":
    sys.exit(main())
