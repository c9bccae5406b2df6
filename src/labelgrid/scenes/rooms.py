"""How a scene is put together: a room of some kind, what stands and lies in it, its lights, and where the camera is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labelgrid.scenes import objects
from labelgrid.scenes.figures import PERSON, person
from labelgrid.scenes.objects import Builder, colour, material, wood
from labelgrid.scenes.solids import Material, Matrix, Solid, cube, moved, put, turned
from labelgrid.streams import stream

#: All classes, in the order of the label's numbers.
CLASSES = (
    "wall", "floor", "ceiling", "window", "door", "picture", "rug", "curtain", "table", "desk", "chair", "sofa", "bed",
    "pillow", "cabinet", "shelf", "books", "lamp", "plant", "television", "box", "ball", "bin", "bottle", "bowl",
    "basin", "bath", "ladder", PERSON,
)  # fmt: skip


class Kind(NamedTuple):
    """A kind of room: how often it comes, and how often each object stands in it (the rest of its number)."""

    share: float
    things: Mapping[str, float]


#: Rare rooms hold rare objects: the long tail.
KINDS: Mapping[str, Kind] = {
    "living": Kind(0.34, {"sofa": 1, "table": 1, "chair": 1.5, "shelf": 1, "lamp": 1, "plant": 1, "television": 0.7}),
    "bedroom": Kind(0.25, {"bed": 1.3, "cabinet": 1.2, "lamp": 0.8, "chair": 0.6, "box": 0.5, "shelf": 0.4}),
    "office": Kind(0.2, {"desk": 1.6, "chair": 2, "shelf": 1.2, "cabinet": 0.8, "bin": 0.8, "plant": 0.5, "box": 0.6}),
    "kitchen": Kind(0.12, {"table": 1.3, "chair": 2.2, "cabinet": 2, "bin": 0.6, "plant": 0.3}),
    "bathroom": Kind(0.05, {"bath": 1, "basin": 1.2, "cabinet": 0.7, "bin": 0.7}),
    "workshop": Kind(0.04, {"ladder": 1, "table": 1.2, "box": 2.5, "shelf": 1, "bin": 0.7, "ball": 0.4}),
}
#: What things lie on.
TOPS = frozenset({"table", "desk", "bed", "sofa", "cabinet"})
#: One scene in this many looks again, from nearby, at the room of the scene before.
AGAIN = 5
#: Share of scenes with a figure.
PEOPLE = 0.4


@dataclass(frozen=True)
class Scene:
    """All that is rendered.

    Args:
        camera: place and turn of the camera, which looks along its -z; fov: of the picture's width, degrees.
    """

    solids: tuple[Solid, ...]
    camera: Matrix
    fov: float


def room_of(seed: int, index: int) -> tuple[int, int]:
    """The room that scene `index` is of (the index of the first scene in it), and which look into it this is.

    Example:
        >>> rooms = [room_of(0, i) for i in range(100)]
        >>> rooms[0], 60 < len({room for room, _ in rooms}) < 95
        ((0, 0), True)
    """
    look = 0
    while index - look > 0 and stream(seed, "scenes again", index - look).integers(AGAIN) == 0:
        look += 1
    return index - look, look


def make_scene(seed: int, index: int) -> Scene:
    """The scene `index` of a data set: it depends on nothing but the two numbers."""
    room, look = room_of(seed, index)
    rng = stream(seed, "scenes room", room)
    kind = KINDS[str(rng.choice(list(KINDS), p=[kind.share for kind in KINDS.values()]))]
    size = np.array([rng.uniform(3, 5.5), rng.uniform(2.4, 3.0), rng.uniform(3, 6)])
    solids = _shell(rng, size)
    taken: list[tuple[float, float, float]] = []
    thing = 1
    for name, often in kind.things.items():
        for _ in range(rng.poisson(often)):
            thing = _stand(rng, size, solids, taken, objects.STANDING[name], thing)
    if rng.random() < PEOPLE:
        thing = _stand(rng, size, solids, taken, person, thing)
    _scatter(rng, size, solids, thing)
    fov = float(rng.uniform(58, 78))
    return Scene(tuple(solids), _camera(stream(seed, "scenes camera", room, look), rng, size, look), fov)


def _shell(rng: np.random.Generator, size: np.ndarray) -> list[Solid]:
    """Walls, floor, a ceiling with a lamp, and what hangs and lies there."""
    w, h, d = size.tolist()
    paint, t = material(rng, colour(rng, 0.4, 0.9)), 0.1
    ground = wood(rng) if rng.random() < 0.6 else material(rng)
    white = Material((0.85, 0.85, 0.83))
    solids = [
        cube((w, t, d), (0, -t / 2, 0), ground, "floor"),
        cube((w, t, d), (0, h + t / 2, 0), white, "ceiling"),
        cube((w, h, t), (0, h / 2, -d / 2 - t / 2), paint, "wall"),
        cube((w, h, t), (0, h / 2, d / 2 + t / 2), paint, "wall"),
        cube((t, h, d), (-w / 2 - t / 2, h / 2, 0), paint, "wall"),
        cube((t, h, d), (w / 2 + t / 2, h / 2, 0), paint, "wall"),
        cube((0.5, 0.04, 0.5), (0, h - 0.02, 0), Material((0.9,) * 3, light=float(rng.uniform(5, 12))), "lamp"),
    ]
    return [*solids, *_on_walls(rng, w, d)]


def _on_walls(rng: np.random.Generator, w: float, d: float) -> list[Solid]:
    """A window with or without curtains, a door, pictures; and a rug."""
    where = float(rng.uniform(-0.25, 0.25)) * w
    day = Material((0.8, 0.85, 0.9), light=float(rng.uniform(1, 5)))
    solids = [cube((1.3, 1.2, 0.02), (where, 1.5, -d / 2 + 0.01), day, "window")]
    cloth = material(rng)
    if rng.random() < 0.5:
        places = [(where + side * 0.8, 1.35, -d / 2 + 0.07) for side in (-1, 1)]
        solids += [cube((0.3, 1.7, 0.08), place, cloth, "curtain") for place in places]
    side = float(rng.choice([-1, 1]))
    along = float(rng.uniform(-0.3, 0.3)) * d
    solids.append(cube((0.04, 2.0, 0.9), (side * (w / 2 - 0.02), 1.0, along), wood(rng), "door"))
    for _ in range(int(rng.integers(0, 4))):
        across, up = rng.uniform(0.25, 0.7, 2)
        at = (-side * (w / 2 - 0.02), float(rng.uniform(1.3, 1.9)), float(rng.uniform(-0.4, 0.4)) * d)
        solids.append(cube((0.03, up, across), at, material(rng), "picture"))
    if rng.random() < 0.5:
        solids.append(cube((w * 0.5, 0.015, d * 0.4), (0, 0.008, 0), material(rng), "rug"))
    return solids


def _stand(
    rng: np.random.Generator,
    size: np.ndarray,
    solids: list[Solid],
    taken: list[tuple[float, float, float]],
    build: Builder,
    thing: int,
) -> int:
    """Put an object where there is room for it, if there is; returns the next thing's number."""
    made = build(rng)
    unit = np.array([(x, y, z, 1.0) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]).T
    corners = np.concatenate([(solid.place @ unit)[:3].T for solid in made])
    radius = float(np.abs(corners[:, [0, 2]]).max())
    for _ in range(12):
        x, z = (float(rng.uniform(-1, 1)) * max(0.1, size[axis] / 2 - radius) for axis in (0, 2))
        if all((x - a) ** 2 + (z - b) ** 2 > (0.8 * (radius + r)) ** 2 for a, b, r in taken):
            taken.append((x, z, radius))
            turn = float(rng.choice([0, 90, 180, 270]) + rng.normal(0, 12))
            solids += put(made, moved(x, 0, z) @ turned("y", turn), thing)
            return thing + 1
    return thing


def _scatter(rng: np.random.Generator, size: np.ndarray, solids: list[Solid], thing: int) -> None:
    """Lay small things on tops and on the floor."""
    tops = [solid for solid in solids if _is_top(solid)]
    for _ in range(int(rng.poisson(6))):
        name = str(rng.choice(list(objects.LYING)))
        made = objects.LYING[name](rng)
        if tops and rng.random() < 0.75:
            top = tops[int(rng.integers(len(tops)))]
            x, z = rng.uniform(-0.8, 0.8, 2).tolist()
            place = moved(*(top.place @ np.array([x, 1.0, z, 1.0]))[:3].tolist())
        else:
            x, z = rng.uniform(-0.45, 0.45, 2).tolist()
            place = moved(x * size[0], 0, z * size[2])
        solids += put(made, place @ turned("y", float(rng.uniform(0, 360))), thing)
        thing += 1


def _is_top(solid: Solid) -> bool:
    """Whether things can lie on it: a board wider than 0.55 m, no higher than 1.1 m."""
    across = 2 * min(float(np.hypot(*solid.place[[0, 2], axis])) for axis in (0, 2))
    top = float(solid.place[1, 3] + abs(solid.place[1, 1]))
    return solid.label in TOPS and solid.shape == "cube" and across > 0.55 and top < 1.1


def _camera(rng: np.random.Generator, room: np.random.Generator, size: np.ndarray, look: int) -> Matrix:
    """Near the front wall at the height of a standing or sitting person's eyes, looking into the room."""
    x, y = room.uniform(-0.35, 0.35) * size[0], room.uniform(1.0, 1.75)
    turn, tilt = room.normal(0, 14), room.normal(-9, 5)
    if look:
        x, y, turn = x + rng.normal(0, 0.12), y + rng.normal(0, 0.06), turn + rng.normal(0, 3)
    return moved(x, y, size[2] / 2 - 0.25) @ turned("y", turn) @ turned("x", tilt)
