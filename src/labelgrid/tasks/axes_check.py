"""Finds out whether the axes of normals were exchanged or flipped, from where they lie.

Around a camera, surfaces face inward: what is right faces left, what is low faces up. On a thing
in front of it, they face outward. Either way x changes with the column, and y with the height.
Loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools
from labelgrid.tasks.checks import MANY, LabelCheck

#: Labels are thinned to at most so many rows and columns.
SIDE = 160
#: x and y change more with the wrong places than with their own by this in all. In NYUv2's and
#: rendered labels (8 to 20 of them) they change less with these, by 0.3 to 1.5.
EXCHANGED = 0.15
#: Surfaces face down by this mean y, and the more so the lower they are, by this correlation. The
#: median mean y of 20 right labels of NYUv2 is 0.06 to 0.2, the correlation -0.46 to -0.18.
DOWN = -0.03
LOWER = 0.1

#: The correlations of x with the column, y with the height, x with the height and y with the
#: column; and the mean y.
Places = NDArray[np.float64]


def places_of(value: Array, valid: Bools, _options: object) -> Places | None:
    """How normals [h, w, 3] change from place to place; None if they do not."""
    step = -(-max(valid.shape) // SIDE)
    thin = (slice(step // 2, None, step),) * 2
    known = valid[thin]
    rows, columns = np.nonzero(known)
    x, y = value[thin][known][:, :2].T.astype(np.float64)
    places = np.stack([x, y, columns, -rows])
    if known.sum() < 2 or places.std(1).min() < 1e-3:
        return None
    table = np.corrcoef(places)
    return np.array([table[0, 2], table[1, 3], table[0, 3], table[1, 2], y.mean()])


def judge_places(found: Sequence[Places | None], options: Any) -> str:
    """Doubt normals whose x and y are exchanged, or whose y points down."""
    labels = [places for places in found if places is not None]
    if len(labels) < MANY:
        return ""
    x_right, y_up, x_up, y_right, mean = np.median(labels, 0).tolist()
    own = abs(x_right) + abs(y_up)
    wrong = abs(x_up) + abs(y_right)
    if wrong > own + EXCHANGED:
        axes = _renamed(
            options.axes, {"right": "up", "left": "down", "up": "right", "down": "left"}
        )
        return (
            f"x changes with the height ({x_up:.2f}) and y with the column ({y_right:.2f}) in "
            f"{len(labels)} labels, more than x with the column ({x_right:.2f}) and y with the "
            "height "
            f"({y_up:.2f}; medians of correlations): x and y look exchanged. If they are, declare "
            f'`axes = "{axes}"`.'
        )
    if mean < DOWN and y_up > LOWER:
        axes = _renamed(options.axes, {"up": "down", "down": "up"})
        return (
            f"surfaces face down in {len(labels)} labels, by a mean y of {mean:.2f}, and the more "
            f"so the lower they are (correlation {y_up:.2f}), as if floors hung: y looks flipped. "
            f'If it is, declare `axes = "{axes}"`.'
        )
    return ""


def _renamed(axes: str, names: dict[str, str]) -> str:
    """Axes with other directions.

    Example:
        >>> _renamed("x right, y up, z toward the camera", {"up": "down", "right": "left"})
        'x left, y down, z toward the camera'
    """
    parts = []
    for part in axes.split(", "):
        letter, _, direction = part.partition(" ")
        parts.append(f"{letter} {names.get(direction, direction)}")
    return ", ".join(parts)


AXES_CHECK = LabelCheck(places_of, judge_places)
