"""Builds each class of object from a few solids.

An object is around the origin, stands on the floor and faces +z.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator

from labelgrid.lab.scenes.solids import Colour, Material, Pattern, Solid, ball, cube, tube

#: The enamel of basins and baths.
WHITE = Material(colour=(0.85, 0.85, 0.85), gloss=0.8)
#: Three surfaces in five are plain.
PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "plain", "checks", "stripes")
Builder = Callable[[Generator], list[Solid]]


def colour(rng: Generator, low: float = 0.08, high: float = 0.85) -> Colour:
    """A random reflectance of red, green and blue."""
    r, g, b = rng.uniform(low, high, 3).tolist()
    return r, g, b


def material(rng: Generator, base: Colour | None = None) -> Material:
    """A random material near a base colour (or of any colour); some are patterned, some glossy."""
    if base is None:
        base = colour(rng)
    r, g, b = np.clip(np.asarray(base) + rng.normal(0, 0.05, 3), 0.03, 0.9).tolist()
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    gloss = float(rng.choice([0.0, 0.0, 0.4, 0.8]))
    return Material(
        colour=(r, g, b),
        second=colour(rng),
        pattern=pattern,
        repeats=int(rng.integers(3, 12)),
        gloss=gloss,
    )


def wood(rng: Generator) -> Material:
    """A brown between birch and walnut, with or without stripes."""
    shade = rng.uniform(0.25, 1.0)
    return Material(
        colour=(0.75 * shade, 0.5 * shade, 0.28 * shade),
        second=(0.65 * shade, 0.42 * shade, 0.22 * shade),
        pattern="stripes" if rng.random() < 0.5 else "plain",
        repeats=int(rng.integers(4, 14)),
        gloss=0.3,
    )


def _legs(
    width: float, depth: float, height: float, thick: float, m: Material, label: str
) -> list[Solid]:
    """Four legs at the corners of a board."""
    legs = []
    for side in (-1, 1):
        for end in (-1, 1):
            at = (side * (width - thick) / 2, height / 2, end * (depth - thick) / 2)
            legs.append(cube((thick, height, thick), at, m, label))
    return legs


def _pair(size: Colour, x: float, y: float, m: Material, label: str) -> list[Solid]:
    """Two boxes of one size, to the left and to the right of the middle."""
    return [cube(size, (side * x, y, 0), m, label) for side in (-1, 1)]


def _table(rng: Generator) -> list[Solid]:
    w = rng.uniform(0.9, 1.8)
    d = rng.uniform(0.6, 1.0)
    h = rng.uniform(0.45, 0.78)
    m = wood(rng)
    return [
        cube((w, 0.05, d), (0, h - 0.025, 0), m, "table"),
        *_legs(w, d, height=h - 0.05, thick=0.06, m=m, label="table"),
    ]


def _desk(rng: Generator) -> list[Solid]:
    w = rng.uniform(1.1, 1.6)
    h = 0.74
    m = material(rng, (0.6, 0.58, 0.55))
    return [
        cube((w, 0.04, 0.7), (0, h, 0), m, "desk"),
        *_pair((0.04, h, 0.65), w / 2 - 0.02, y=h / 2, m=m, label="desk"),
        cube((w, 0.4, 0.03), (0, h - 0.25, -0.3), m, "desk"),
    ]


def _chair(rng: Generator) -> list[Solid]:
    m = material(rng)
    h = rng.uniform(0.42, 0.5)
    seat = cube((0.45, 0.05, 0.45), (0, h, 0), m, "chair")
    back = cube((0.45, rng.uniform(0.35, 0.55), 0.05), (0, h + 0.25, -0.2), m, "chair")
    return [seat, back, *_legs(0.45, 0.45, height=h, thick=0.04, m=wood(rng), label="chair")]


def _sofa(rng: Generator) -> list[Solid]:
    w = rng.uniform(1.4, 2.2)
    m = material(rng)
    return [
        cube((w, 0.42, 0.85), (0, 0.21, 0), m, "sofa"),
        cube((w, 0.5, 0.2), (0, 0.6, -0.32), m, "sofa"),
        *_pair((0.2, 0.6, 0.85), w / 2 - 0.1, y=0.3, m=m, label="sofa"),
    ]


def _bed(rng: Generator) -> list[Solid]:
    w = rng.uniform(0.9, 1.6)
    m = wood(rng)
    return [
        cube((w, 0.35, 2.0), (0, 0.175, 0), m, "bed"),
        cube((w - 0.06, 0.22, 1.7), (0, 0.46, 0.12), material(rng), "bed"),
        cube((w, 0.9, 0.06), (0, 0.45, -1.0), m, "bed"),
    ]


def _pillow(rng: Generator) -> list[Solid]:
    return [ball((0.25, 0.09, 0.17), (0, 0.09, 0), material(rng), "pillow")]


def _cabinet(rng: Generator) -> list[Solid]:
    w = rng.uniform(0.6, 1.4)
    d = rng.uniform(0.35, 0.6)
    h = rng.uniform(0.7, 2.1)
    metal = Material(colour=(0.8, 0.8, 0.8), gloss=1.0)
    solids = [cube((w, h, d), (0, h / 2, 0), material(rng, (0.6, 0.5, 0.4)), "cabinet")]
    for side in (-1, 1):
        at = (side * 0.06, h * 0.55, d / 2 + 0.02)
        solids.append(ball((0.02,) * 3, at, metal, "cabinet"))
    return solids


def _shelf(rng: Generator) -> list[Solid]:
    w = rng.uniform(0.7, 1.3)
    h = rng.uniform(1.2, 2.0)
    m = wood(rng)
    n = int(rng.integers(3, 6))
    solids = []
    for level in range(n + 1):
        y = 0.02 + level * (h - 0.04) / n
        solids.append(cube((w, 0.03, 0.3), (0, y, 0), m, "shelf"))
    solids += _pair((0.03, h, 0.3), w / 2, y=h / 2, m=m, label="shelf")
    for level in range(n):
        x = -w / 2 + 0.08
        while x < w / 2 - 0.1 and rng.random() < 0.9:
            thick = rng.uniform(0.02, 0.05)
            tall = rng.uniform(0.15, min(0.28, 0.9 * (h - 0.04) / n))
            y = 0.035 + level * (h - 0.04) / n + tall / 2
            cover = Material(colour=colour(rng))
            solids.append(cube((thick, tall, 0.2), (x, y, 0), cover, "books"))
            x += thick + (0.004 if rng.random() < 0.8 else 0.12)
    return solids


def _lamp(rng: Generator) -> list[Solid]:
    h = rng.uniform(1.2, 1.7)
    m = Material(colour=colour(rng), gloss=0.6)
    shade = Material(colour=(0.9, 0.8, 0.6), light=rng.uniform(1.0, 4.0))
    return [
        tube(0.14, 0.03, at=(0, 0.015, 0), material=m, label="lamp"),
        tube(0.015, h, at=(0, h / 2, 0), material=m, label="lamp"),
        tube(0.17, 0.24, at=(0, h, 0), material=shade, label="lamp"),
    ]


def _plant(rng: Generator) -> list[Solid]:
    h = rng.uniform(0.3, 0.9)
    leaf = Material(colour=(0.08, rng.uniform(0.25, 0.5), 0.08))
    clay = Material(colour=(0.6, 0.3, 0.18))
    solids = [
        tube(0.13, 0.24, at=(0, 0.12, 0), material=clay, label="plant"),
        tube(0.02, h, at=(0, h / 2, 0), material=wood(rng), label="plant"),
    ]
    for _ in range(int(rng.integers(5, 10))):
        x, z = rng.normal(0, 0.11, 2).tolist()
        radii = rng.uniform(0.06, 0.17, 3).tolist()
        y = h + rng.uniform(-0.1, 0.25)
        solids.append(ball(radii, (x, y, z), leaf, "plant"))
    return solids


def _television(rng: Generator) -> list[Solid]:
    w = rng.uniform(0.7, 1.2)
    black = Material(colour=(0.03, 0.03, 0.035), gloss=0.9)
    return [
        cube((w * 1.2, 0.45, 0.4), (0, 0.225, 0), wood(rng), "cabinet"),
        cube((w, w * 0.58, 0.06), (0, 0.5 + w * 0.29, 0), black, "television"),
        cube((0.3, 0.06, 0.2), (0, 0.48, 0), black, "television"),
    ]


def _box(rng: Generator) -> list[Solid]:
    w, h, d = rng.uniform(0.2, 0.6, 3)
    return [cube((w, h, d), (0, h / 2, 0), material(rng, (0.6, 0.45, 0.28)), "box")]


def _toy(rng: Generator) -> list[Solid]:
    r = rng.uniform(0.08, 0.25)
    rubber = Material(
        colour=colour(rng), second=colour(rng), pattern="checks", repeats=4, gloss=0.6
    )
    return [ball((r, r, r), (0, r, 0), rubber, "ball")]


def _bottle(rng: Generator) -> list[Solid]:
    m = Material(colour=colour(rng), gloss=0.9)
    h = rng.uniform(0.12, 0.22)
    return [
        tube(0.04, h, at=(0, h / 2, 0), material=m, label="bottle"),
        tube(0.015, 0.08, at=(0, h + 0.04, 0), material=m, label="bottle"),
    ]


def _bowl(rng: Generator) -> list[Solid]:
    solids = [ball((0.13, 0.06, 0.13), (0, 0.05, 0), material(rng), "bowl")]
    for x, z in rng.normal(0, 0.04, (3, 2)).tolist():
        fruit = Material(colour=(0.7, rng.uniform(0.1, 0.5), 0.05))
        solids.append(ball((0.045,) * 3, (x, 0.11, z), fruit, "bowl"))
    return solids


def _books(rng: Generator) -> list[Solid]:
    thick = rng.uniform(0.02, 0.05, int(rng.integers(1, 5)))
    solids = []
    for height, top in zip(thick.tolist(), np.cumsum(thick).tolist(), strict=True):
        cover = Material(colour=colour(rng))
        solids.append(cube((0.2, height, 0.15), (0, top - height / 2, 0), cover, "books"))
    return solids


def _bin(rng: Generator) -> list[Solid]:
    h = rng.uniform(0.3, 0.5)
    radius = rng.uniform(0.13, 0.2)
    return [tube(radius, h, at=(0, h / 2, 0), material=material(rng), label="bin")]


def _basin(rng: Generator) -> list[Solid]:
    return [
        tube(0.08, 0.75, at=(0, 0.375, 0), material=WHITE, label="basin"),
        ball((0.3, 0.12, 0.22), (0, 0.8, 0), WHITE, "basin"),
    ]


def _bath(rng: Generator) -> list[Solid]:
    water = Material(colour=(0.5, 0.6, 0.65), gloss=1.0)
    return [
        cube((1.6, 0.5, 0.7), (0, 0.25, 0), WHITE, "bath"),
        cube((1.45, 0.02, 0.55), (0, 0.505, 0), water, "bath"),
    ]


def _ladder(rng: Generator) -> list[Solid]:
    m = material(rng, (0.6, 0.6, 0.62))
    rails = _pair((0.05, 1.8, 0.05), 0.22, y=0.9, m=m, label="ladder")
    rungs = [cube((0.44, 0.03, 0.05), (0, 0.25 + 0.3 * i, 0), m, "ladder") for i in range(6)]
    return [*rails, *rungs]


#: Objects that stand on the floor.
STANDING: Mapping[str, Builder] = {
    "table": _table,
    "desk": _desk,
    "chair": _chair,
    "sofa": _sofa,
    "bed": _bed,
    "cabinet": _cabinet,
    "shelf": _shelf,
    "lamp": _lamp,
    "plant": _plant,
    "television": _television,
    "box": _box,
    "ball": _toy,
    "bin": _bin,
    "basin": _basin,
    "bath": _bath,
    "ladder": _ladder,
}
#: Objects that lie on furniture or on the floor.
LYING: Mapping[str, Builder] = {
    "bottle": _bottle,
    "bowl": _bowl,
    "books": _books,
    "pillow": _pillow,
    "ball": _toy,
}
