"""Compares the outlines of labels with the edges of images.

The outlines of a right label agree with its own image better than with others. The outlines of
another image's label, or of a mirrored or shifted one, do not. Loads no torch.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from labelgrid.basics.array_types import Array, Bytes, Floats, Floats32

#: Smaller images, by their longer side, say too little.
LEAST = 128
#: The longer side of images, in pixels, before edges are found,
SIDE = 320
#: the widths in pixels of the blur, and of the coarse changes that are taken away,
FINE = 2.0
COARSE = 20.0
#: the border without edges, and the rows and columns of the grid on which edges are compared.
BORDER = 6
GRID = (57, 77)
#: The mean agreement of fewer and of more than `MANY` labels is doubted below these. Of NYUv2's
#: labels it is 4 to 11; 10 wrong ones reach 1.4. `benchmarks/plausibility.py` counts false alarms.
MANY = 8
LIMIT_FEW = 0.0
LIMIT = 1.3
#: A way to put labels right explains them if they agree so much better.
BETTER = 1.5
#: One label says little of a small shift. Of many, the mean agreement has its peak where the labels
#: should lie, and is the same on both sides of a right one.
#: Agreements are looked at up to so many steps of the grid away.
REACH = 6
#: They are compared as they are, and as means over so many steps, as those of lines drawn twice,
#: on both sides of a border, have two peaks.
MEANS = (1, 5)
#: Labels are shifted if the peak is farther away than this, in steps (a 77th of the width), and the
#: agreement there exceeds that on the other side by so many standard errors. Of 400 draws of 10 or
#: 16 right labels of NYUv2, rendered rooms and photographs none is farther away.
FAR = 1.9
SURE = 3.0
#: Two shifts are the same up to so many steps.
SAME = 1.0

#: Edges on the grid, of mean 0 and standard deviation 1: float32 [57 * 77].
Edges = Floats32

#: How far a label lies too far down and right, as shares of the sides.
Shift = tuple[float, float]

#: How a label can lie on its image: a name, and what it does to the grid.
WAYS: dict[str, Callable[[Array], Array]] = {
    "mirrored left to right": lambda grid: grid[:, ::-1],
    "upside down": lambda grid: grid[::-1, ::-1],
    "mirrored top to bottom": lambda grid: grid[::-1],
}

#: Of how many of its sides, down and right, a picture of another shape covers an image: 9:16, 2:3,
#: 3:4 and 17:20. And how many times too large a part of a label can be.
SMALLER = (0.5625, 2 / 3, 0.75, 0.85)
LARGER = (1.2, 1.5, 1.75)


def _scales() -> dict[str, tuple[float, float]]:
    scales = {}
    for share in SMALLER:
        border = f"{(1 - share) / 2:.0%}"
        scales[f"lie between borders of {border} at the left and right"] = (1.0, share)
        scales[f"lie between borders of {border} at the top and bottom"] = (share, 1.0)
        scales[f"lie between borders of {border} on all sides"] = (share, share)
    for factor in LARGER:
        scales[f"show only the middle {1 / factor:.0%} of the sides"] = (factor, factor)
    return scales


#: How a label can be scaled around the middle of its image, in words, and the factors down and
#: right. Right labels agree less so: none of 515 sound batches of NYUv2, rendered rooms and
#: photographs is doubted. Labels between borders agree better, by 1.2 in 8 and 1.9 in 16 at least.
SCALES = _scales()


def image_edges(image: Bytes) -> Edges:
    """The edges of an image [h, w, 3] on the grid."""
    import cv2  # imported late: few commands compare edges

    grey = cv2.cvtColor(_shrunk(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return on_grid(np.log1p(np.sqrt(right * right + down * down)))


def on_grid(strength: Floats32) -> Edges:
    """Edges or outlines [h, w] of any size on the grid, standardised."""
    import cv2

    small = _shrunk(strength.astype(np.float32))
    fine = cv2.GaussianBlur(small, (0, 0), FINE)
    border = min(BORDER, min(fine.shape) // 4)
    inside = tuple(slice(border, side - border) for side in fine.shape)
    if any(side - 2 * border < cells for side, cells in zip(fine.shape, GRID, strict=True)):
        coarse = cv2.GaussianBlur(fine, (0, 0), COARSE)
        grid = cv2.resize((fine - coarse)[inside], GRID[::-1], interpolation=cv2.INTER_AREA)
    else:
        grid = cv2.resize(fine[inside], GRID[::-1], interpolation=cv2.INTER_AREA)
        down, right = map(_coarse_side, fine.shape, GRID, (border, border))
        # Threads of NumPy's BLAS spin for 30 ms after each product, longer than an import takes;
        # OpenCV's product takes four times as long as this sum.
        grid -= np.einsum("ij,kj->ik", np.einsum("ij,jk->ik", down, fine), right)
    return _standardised(grid)


def _standardised(grid: Array) -> Edges:
    return ((grid - grid.mean()) / (grid.std() + 1e-6)).astype(np.float32).ravel()


@lru_cache(maxsize=32)
def _coarse_side(side: int, cells: int, border: int) -> Floats32:
    """A matrix [cells, side] that blurs a side by `COARSE`, cuts off the ends and shrinks the rest.

    Two such matrices do in one step what blurring, cutting and shrinking a map do in three.
    """
    import cv2

    width = round(8 * COARSE + 1) | 1  # as OpenCV takes it for floating-point numbers
    around = cv2.getGaussianKernel(width, COARSE, cv2.CV_32F)
    blurred = cv2.sepFilter2D(np.eye(side, dtype=np.float32), -1, np.ones(1, np.float32), around)
    inside = blurred[border : side - border]
    return np.asarray(cv2.resize(inside, (side, cells), interpolation=cv2.INTER_AREA))


def _shrunk(array: Array) -> Array:
    import cv2

    factor = SIDE / max(array.shape[:2])
    height, width = (max(8, round(side * factor)) for side in array.shape[:2])
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(array, (width, height), interpolation=way)


def agreement(label: Edges, edges: Edges, others: Sequence[Edges]) -> float:
    """The surplus of a label's correlation with the own image over the mean of other images.

    The surplus is in standard deviations of the correlations with others.
    """
    alien = np.array([float(label @ other) / label.size for other in others])
    return (float(label @ edges) / label.size - float(alien.mean())) / (float(alien.std()) + 1e-6)


def turned(label: Edges, way: str) -> Edges:
    """The outlines of a label, turned back from one of `WAYS`."""
    return np.ascontiguousarray(WAYS[way](label.reshape(GRID))).ravel()


def rescaled(label: Edges, down: float, right: float) -> Edges:
    """The outlines of a label, scaled back around the middle by two factors."""
    import cv2

    grid = label.reshape(GRID)
    rows, columns = GRID
    back = np.array(
        [
            [1 / right, 0, (columns - 1) / 2 * (1 - 1 / right)],
            [0, 1 / down, (rows - 1) / 2 * (1 - 1 / down)],
        ]
    )
    dark = float(grid.min())
    moved = cv2.warpAffine(grid, back, GRID[::-1], flags=cv2.INTER_LINEAR, borderValue=dark)
    return _standardised(moved)


def shifted(label: Edges, down: float, right: float) -> Edges:
    """The outlines of a label, moved by shares of the sides."""
    steps = (round(down * GRID[0]), round(right * GRID[1]))
    return np.roll(label.reshape(GRID), steps, (0, 1)).ravel()


def best_shift(label: Edges, edges: Edges) -> Shift:
    """The shift of a label down and right, as shares of the sides.

    The label agrees best with its image when it is moved back.
    """
    down, right = np.unravel_index(int(_correlations(label, edges).argmax()), GRID)
    rows, columns = GRID
    back = ((int(down) + rows // 2) % rows - rows // 2) / rows
    left = ((int(right) + columns // 2) % columns - columns // 2) / columns
    return -back, -left


def _correlations(label: Edges, image: Edges) -> Floats:
    """The products of an image with a label that is moved down and right by each step [57, 77]."""
    spectrum = np.fft.rfft2(image.reshape(GRID)) * np.conj(np.fft.rfft2(label.reshape(GRID)))
    return np.fft.irfft2(spectrum, GRID)


def common_shift(pairs: Sequence[tuple[Edges, Edges]]) -> Shift | None:
    """The shift of all labels by pairs of outlines and image edges; None if they have none."""
    import cv2

    surfaces = [_agreements(*pair) for pair in pairs]
    edge = max(MEANS) // 2
    for side in MEANS:
        means = [cv2.blur(surface, (side, side))[edge:-edge, edge:-edge] for surface in surfaces]
        steps = _peak(np.array(means))
        if steps:
            return steps[0] / GRID[0], steps[1] / GRID[1]
    return None


def is_same_shift(one: Shift, other: Shift | None) -> bool:
    """Whether two shifts are equal, up to a step of the grid."""
    if other is None:
        return False
    steps = (np.array(one) - other) * GRID
    return bool(np.abs(steps).max() <= SAME)


def is_slanting(shift: Shift) -> bool:
    """Whether a shift is along both sides, by more than a step of the grid.

    Example:
        >>> is_slanting((0.01, 0.04)), is_slanting((0.05, -0.04))
        (False, True)
    """
    return bool((np.abs(shift) * GRID > SAME).all())


def _agreements(label: Edges, image: Edges) -> Floats:
    """The correlations of a label that is moved by up to `REACH` steps and a half of `MEANS`."""
    surface = _correlations(label, image) / label.size
    reach = REACH + max(MEANS) // 2
    return np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]


def _peak(surfaces: Array) -> tuple[int, int] | None:
    """The steps by which labels lie too far down and right; None if that is not sure."""
    mean = surfaces.mean(0)
    row, column = np.unravel_index(int(mean.argmax()), mean.shape)
    down = REACH - int(row)
    right = REACH - int(column)
    if np.hypot(down, right) <= FAR:
        return None
    gains = surfaces[:, row, column] - surfaces[:, REACH + down, REACH + right]
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    if gains.mean() > SURE * error:
        return (down, right)
    return None
