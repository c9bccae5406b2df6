"""Chooses the colours of classes: told apart with any colour vision, on dark and on light.

A class keeps its colour by its name: the colours belong to the names of a project in the order in
which the names came up. So classes can be added and reordered, and tasks share classes. Loads no
torch.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Floats
from labelgrid.basics.type_names import Names

RGB = NDArray[np.uint8]

#: Names of the class of pixels that nobody drew; over a photograph it is transparent.
BACKGROUND = frozenset(
    (
        *("background", "bg", "rest", "void", "none"),
        *("unlabelled", "unlabeled", "not labelled", "not labeled", "ignore", "ignored"),
    )
)
#: The colour of these classes where there is no photograph below.
BACKGROUND_COLOUR = (214, 214, 214)
#: What no colour may look like: that one, light and dark pages, the stripes of what is not shown.
AVOIDED = (BACKGROUND_COLOUR, (255, 255, 255), (20, 20, 20), (72, 72, 72), (104, 104, 104))
#: The first colours; the others are as far as possible from these and from each other.
FIRST = ((0, 114, 178), (240, 150, 20))
#: The levels of red, green and blue among which colours are chosen.
LEVELS = 18
#: What a distance with normal vision counts, which separates more colours than the others.
NORMAL = 0.6
# From linear sRGB to what people see: with normal vision, green-blind, red-blind and blue-blind
# (Machado, Oliveira & Fernandes 2009).
_VISIONS = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
)
# From linear sRGB to cone responses and from their cube roots to Oklab (Ottosson 2020).
_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def is_background(name: str) -> bool:
    """Whether a class has a name of `BACKGROUND`.

    Example:
        >>> is_background("_Background_"), is_background("background person")
        (True, False)
    """
    return name.replace("_", " ").strip().casefold() in BACKGROUND


@cache
def class_colours(names: Names, order: Names = ()) -> RGB:
    """The colours [k, 3] of classes.

    Args:
        names: the classes.
        order: the names of all classes of the project, in the order in which they came up; names
            that are missing there follow.
    """
    indices: dict[str, int] = {}
    for name in (*order, *names):
        if not is_background(name):
            indices.setdefault(name, len(indices))
    colours = np.concatenate([palette(len(indices)), np.array([BACKGROUND_COLOUR], np.uint8)])
    chosen = colours[[indices.get(name, -1) for name in names]]
    chosen.flags.writeable = False  # the cache returns the same array to all callers
    return chosen


def name_order(lists: Iterable[Iterable[str]], names: Iterable[str]) -> Names:
    """Sort names by the first of the lists to hold each, oldest first; names of no list follow.

    Example:
        >>> name_order([["wall", "gone", "floor"], ["floor"]], ["box", "floor", "wall", "box"])
        ('wall', 'floor', 'box')
    """
    wanted = dict.fromkeys(names)
    earlier = dict.fromkeys(name for older in lists for name in older if name in wanted)
    return tuple(earlier | wanted)


@cache
def palette(count: int) -> RGB:
    """Colours [count, 3]; a longer palette begins with the colours of a shorter.

    Each colour is the farthest from all earlier colours and from `AVOIDED`, by the Oklab distance
    in the worst of four kinds of vision. Colours near white, black or grey, and very saturated
    colours, are excluded. There are about 3,900 colours; then they repeat.
    """
    steps = np.linspace(0, 255, LEVELS).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lightness, green_red, blue_yellow = to_oklab(colours)[0].T
    chroma = np.hypot(green_red, blue_yellow)
    clear = (lightness > 0.35) & (lightness < 0.9) & (chroma > 0.05) & (chroma < 0.22)
    candidates = np.concatenate([np.array(FIRST, np.uint8), colours[clear]])
    coordinates = to_oklab(candidates)
    nearest = np.full(len(candidates), np.inf)
    for taken in to_oklab(np.array(AVOIDED, np.uint8)).swapaxes(0, 1):
        nearest = np.minimum(nearest, _smallest_distances(coordinates, taken))
    picked: list[int] = []
    while len(picked) < min(count, len(candidates)):
        index = len(picked) if len(picked) < len(FIRST) else int(nearest.argmax())
        picked.append(index)
        nearest = np.minimum(nearest, _smallest_distances(coordinates, coordinates[:, index]))
    chosen = candidates[np.resize(np.array(picked, np.int64), count)]
    chosen.flags.writeable = False  # the cache returns the same array to all callers
    return chosen


def to_oklab(colours: RGB) -> Floats:
    """Convert colours [n, 3] to the Oklab coordinates [visions, n, 3] that people see."""
    srgb = colours / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    visions = np.clip(np.einsum("vij,nj->vni", np.array(_VISIONS), linear), 0, 1)
    return np.cbrt(visions @ np.array(_CONES).T) @ np.array(_OKLAB).T


def _smallest_distances(coordinates: Floats, colour: Floats) -> Floats:
    """The smallest distance [n] of n colours from another one, over the kinds of vision."""
    distances = np.linalg.norm(coordinates - colour[:, None], axis=2)
    distances[0] *= NORMAL
    return distances.min(0)
