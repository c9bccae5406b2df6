"""Plants faults in a part of a label: the shapes of parts, and what is wrong in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

#: The shares of an image's pixels that a part has, and how far off it may be, as a factor.
SHARES = (0.1, 0.2, 0.3, 0.45)
NEAR = 1.25
FAULTS = ("mirrored", "negated", "another image's")
SHAPES = ("object", "half", "plane")
#: Normals this near to each other are of one plane, in degrees.
TURN = 12.0
#: A fault that changes less than this share of its part is no fault; of lines, less than `LINES`.
CHANGED = 0.5
LINES = 0.04


@dataclass(frozen=True)
class Part:
    """A part of an image: its shape, its pixels and the box around these (top, left, bottom, right)."""

    shape: str
    mask: Mask

    @property
    def box(self) -> tuple[int, int, int, int]:
        rows = np.flatnonzero(self.mask.any(1))
        columns = np.flatnonzero(self.mask.any(0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def side(size: tuple[int, int], fraction: float, rng: np.random.Generator) -> Part:
    """The left, right, upper or lower `fraction` of an image."""
    mask = np.zeros(size, np.bool_)
    turned = mask.T if rng.integers(2) else mask
    length = round(fraction * len(turned))
    turned[slice(length) if rng.integers(2) else slice(-length, None)] = True
    return Part("half", mask)


def region(shape: str, groups: Array, fraction: float, rng: np.random.Generator) -> Part | None:
    """A connected region of pixels of one group (below 0: none) that has about this share."""
    regions_fitting = []
    for group in np.unique(groups[groups >= 0]):
        _, regions, stats, _ = cv2.connectedComponentsWithStats((groups == group).astype(np.uint8))
        fractions = stats[1:, cv2.CC_STAT_AREA] / groups.size
        fitting = np.flatnonzero((fractions > fraction / NEAR) & (fractions < fraction * NEAR))
        regions_fitting += [regions == number + 1 for number in fitting]
    if not regions_fitting:
        return None
    return Part(shape, regions_fitting[int(rng.integers(len(regions_fitting)))])


def planes(normals: Array) -> Array:
    """The pixels whose normal [h, w, 3] is near to that of one of the eight commonest planes."""
    left = np.linalg.norm(normals, axis=2) > 0.5
    groups = np.full(left.shape, -1)
    for group in range(8):
        bins = np.rint(normals * 3).astype(int) @ (1, 10, 100)
        if not left.any():
            break
        numbers, counts = np.unique(bins[left], return_counts=True)
        middle = normals[left & (bins == numbers[counts.argmax()])].mean(0)
        middle /= np.linalg.norm(middle)
        plane = left & (normals @ middle > np.cos(np.radians(TURN)))
        groups[plane] = group
        left &= ~plane
    return groups


def mirrored(pixels: Array, part: Part) -> Array:
    top, left, bottom, right = part.box
    turned = pixels.copy()
    turned[top:bottom, left:right] = pixels[top:bottom, left:right][:, ::-1]
    return turned


def exchanged_classes(pixels: Array, part: Part, count: int, rng: np.random.Generator) -> Array:
    """Every class becomes another one that the image shows, or any if it shows one alone."""
    shown = np.unique(pixels[(pixels < count)])
    names = shown if len(shown) > 1 else np.arange(count)
    table = np.arange(256)
    order = rng.permutation(len(names))
    table[names[order]] = names[np.roll(order, 1)]
    return table[pixels].astype(pixels.dtype)


def reflected(pixels: Array, part: Part) -> Array:
    """Numbers between the least and the largest of the part change places; 0 stays."""
    inside = pixels[part.mask & (pixels > 0)].astype(np.int64)
    if not len(inside):
        return pixels
    turned = inside.min() + inside.max() - pixels.astype(np.int64)
    return np.where(pixels > 0, np.clip(turned, 1, None), 0).astype(pixels.dtype)


def inverted(pixels: Array, _part: Part) -> Array:
    return (np.iinfo(pixels.dtype).max - pixels).astype(pixels.dtype)


def faces_away(pixels: Array) -> bool:
    """Whether half of the normals face away from the camera: an import refuses such a file."""
    return bool((pixels[..., 0] < np.iinfo(pixels.dtype).max / 2).mean() > 0.5)


def changed(kind: str, before: Array, after: Array) -> Mask:
    """Where a label is another one."""
    if kind == "depth":
        near = np.abs(after.astype(float) - before) <= 0.1 * np.maximum(before, 1)
        return ~near & (before > 0) & (after > 0)
    if kind == "normals":
        high = np.iinfo(before.dtype).max / 2
        one, other = (values.astype(float) / high - 1 for values in (before, after))
        lengths = np.linalg.norm(one, axis=2) * np.linalg.norm(other, axis=2)
        return (one * other).sum(2) < np.cos(np.radians(20)) * np.maximum(lengths, 1e-6)
    return before != after


def faulty(
    kind: str,
    pixels: Array,
    part: Part,
    fault: str,
    other: Array,
    classes: int,
    rng: np.random.Generator,
) -> Array | None:
    """The label with a fault in a part; None if too little changes."""
    negations: Mapping[str, Callable[[Array, Part], Array]] = {
        "depth": reflected,
        "semseg": lambda pixels, part: exchanged_classes(pixels, part, classes, rng),
    }
    if fault == "mirrored":
        wrong = mirrored(pixels, part)
    elif fault == "negated":
        wrong = negations.get(kind, inverted)(pixels, part)
    else:
        wrong = other
    mask = part.mask[..., None] if pixels.ndim == 3 else part.mask
    wrong = np.where(mask, wrong, pixels)
    least = LINES if kind == "edges" else CHANGED
    if changed(kind, pixels, wrong)[part.mask].mean() < least:
        return None
    return wrong
