"""Generates scenes: a room of some kind with objects, lights and the camera."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from labelgrid.basics.array_types import Floats
from labelgrid.basics.streams import stream
from labelgrid.lab.scenes.people import PERSON, person
from labelgrid.lab.scenes.scene_objects import LYING, STANDING, Builder, colour, material, wood
from labelgrid.lab.scenes.solids import (
    CORNERS,
    Material,
    Matrix,
    Solid,
    cube,
    place_object,
    rotation,
    translation,
)

#: All classes, in the order of the label's class numbers.
CLASSES = (
    "wall", "floor", "ceiling", "window", "door", "picture", "rug", "curtain", "table", "desk",
    "chair", "sofa", "bed", "pillow", "cabinet", "shelf", "books", "lamp", "plant", "television",
    "box", "ball", "bin", "bottle", "bowl", "basin", "bath", "ladder", PERSON,
)  # fmt: skip


class Room(NamedTuple):
    """A kind of room: the fraction of all rooms, and the mean number of each object in a room."""

    fraction: float
    things: Mapping[str, float]


#: Rare rooms hold rare objects: a long tail.
KINDS: Mapping[str, Room] = {
    "living": Room(
        0.33,
        {"sofa": 1, "television": 0.8, "table": 1, "chair": 1.5, "shelf": 1, "lamp": 1, "plant": 1},
    ),
    "bedroom": Room(
        0.23, {"bed": 1.3, "cabinet": 1.2, "lamp": 0.8, "chair": 0.6, "box": 0.5, "shelf": 0.4}
    ),
    "office": Room(
        0.2,
        {
            "desk": 1.6,
            "chair": 2,
            "shelf": 1.2,
            "cabinet": 0.8,
            "bin": 0.8,
            "plant": 0.5,
            "box": 0.6,
        },
    ),
    "kitchen": Room(0.12, {"table": 1.3, "chair": 2.2, "cabinet": 2, "bin": 0.6, "plant": 0.3}),
    "bathroom": Room(0.07, {"basin": 1.3, "bath": 1, "cabinet": 0.7, "bin": 0.7}),
    "workshop": Room(
        0.05, {"ladder": 1.2, "table": 1.2, "box": 2.5, "shelf": 1, "bin": 0.7, "ball": 0.4}
    ),
}
#: Objects on which small things lie.
TOPS = frozenset({"table", "desk", "bed", "sofa", "cabinet"})
#: Objects that mostly stand with their back to a wall.
BACKED = frozenset(
    {"desk", "sofa", "bed", "cabinet", "shelf", "television", "basin", "bath", "ladder"}
)
#: The distance around the camera, in metres along the floor's axes, that is kept free, so that
#: nothing fills the view.
CLEAR = 1.2
#: Degrees across the picture's width. A data set uses one camera at nearly one height: with many of
#: both, depth in metres cannot be inferred from a picture, however many labels there are.
FOV = 66.0
HEIGHTS = (1.35, 1.6)
#: One scene in this many shows the room of the scene before again, from a nearby viewpoint.
REVISIT = 5
#: The share of rooms with a person; it is visible in about a third of the pictures.
PEOPLE = 0.5


class Viewpoint(NamedTuple):
    """The camera's position in metres, and the turn to the left and upward tilt in degrees."""

    x: float
    y: float
    z: float
    turn: float
    tilt: float


@dataclass(frozen=True)
class Scene:
    """A scene to render.

    Args:
        solids: all solids of the room and its objects.
        camera: the camera's transform, float64 [4, 4]; it looks along its -z.
        fov: the angle of the picture's width, in degrees.
    """

    solids: tuple[Solid, ...]
    camera: Matrix
    fov: float


def room_of(seed: int, index: int, frames: int = 1) -> tuple[int, int]:
    """The room of scene `index`, and the number of the view of the room.

    Args:
        seed: the seed of the draws.
        index: the number of the scene.
        frames: the number of views of each room. 1: most rooms have one, some more; the number of a
            room is then the number of its first scene.

    Example:
        >>> [room_of(0, i, frames=3) for i in range(4)]
        [(0, 0), (0, 1), (0, 2), (1, 0)]
        >>> rooms = [room_of(0, i) for i in range(100)]
        >>> rooms[0], 60 < len({room for room, _ in rooms}) < 95
        ((0, 0), True)
    """
    if frames > 1:
        return divmod(index, frames)
    view = 0
    while index - view > 0 and stream(seed, "scenes again", index - view).integers(REVISIT) == 0:
        view += 1
    return index - view, view


def make_scene(seed: int, index: int, frames: int = 1) -> Scene:
    """Scene `index` of a data set.

    It depends only on seed, index and the number of frames of each room.
    """
    room, view = room_of(seed, index, frames)
    rng = stream(seed, "scenes room", room)
    fractions = [kind.fraction for kind in KINDS.values()]
    kind = KINDS[str(rng.choice(list(KINDS), p=fractions))]
    size = np.array([rng.uniform(3.2, 5.5), rng.uniform(2.4, 3.0), rng.uniform(3.2, 6)])
    solids = _shell(rng, size)
    viewpoint = _draw_viewpoint(rng, size)
    foot = np.array([viewpoint.x, viewpoint.z])
    taken = [(foot - CLEAR, foot + CLEAR)]
    thing = 1
    put = partial(_place_on_floor, rng, size, solids=solids, taken=taken)
    if rng.random() < PEOPLE:
        thing = put(build=person, thing=thing)
    for name, mean in kind.things.items():
        for _ in range(rng.poisson(mean)):
            thing = put(build=STANDING[name], thing=thing, backed=name in BACKED)
    _scatter_small_things(rng, size, solids=solids, viewpoint=viewpoint, thing=thing)
    camera = _camera(stream(seed, "scenes camera", room, view), viewpoint, view)
    return Scene(tuple(solids), camera, FOV)


def _shell(rng: Generator, size: Floats) -> list[Solid]:
    """Walls, floor, a ceiling with a lamp, and the objects fixed to them."""
    w, h, d = size.tolist()
    paint = material(rng, colour(rng, 0.4, 0.9))
    t = 0.1
    ground = wood(rng) if rng.random() < 0.6 else material(rng)
    glow = rng.uniform(0.1, 0.3)
    lamp = float(rng.choice([0, rng.uniform(3, 9)], p=[0.2, 0.8]))
    white = Material(colour=(0.85, 0.85, 0.83), light=glow)
    bulb = Material(colour=(0.9,) * 3, light=lamp)
    front = cube((w, h, t), (0, 0, 0), replace(paint, light=glow), "wall")
    to_front = translation(0, h / 2, d / 2 + t / 2) @ rotation("y", 180)
    solids = [
        cube((w, t, d), (0, -t / 2, 0), ground, "floor"),
        *_overhead_board((w, d), h + t / 2, thick=t, m=white, label="ceiling"),
        cube((w, h, t), (0, h / 2, -d / 2 - t / 2), paint, "wall"),
        *place_object([front], to_front),
        cube((t, h, d), (-w / 2 - t / 2, h / 2, 0), paint, "wall"),
        cube((t, h, d), (w / 2 + t / 2, h / 2, 0), paint, "wall"),
        *_overhead_board((0.8, 0.8), h - 0.03, thick=0.04, m=bulb, label="lamp"),
    ]
    return [*solids, *_wall_objects(rng, w, d)]


def _overhead_board(
    size: tuple[float, float], y: float, thick: float, m: Material, label: str
) -> list[Solid]:
    """A board whose front, which emits the light, faces down."""
    board = cube((*size, thick), (0, 0, 0), m, label)
    return place_object([board], translation(y=y) @ rotation("x", 90))


def _wall_objects(rng: Generator, w: float, d: float) -> list[Solid]:
    """A window with or without curtains, a door, pictures; and a rug."""
    where = rng.uniform(-0.25, 0.25) * w
    broad = rng.uniform(0.9, 1.8)
    tall = rng.uniform(0.8, 1.4)
    light = float(np.exp(rng.uniform(np.log(0.3), np.log(5))))
    day = Material(colour=(0.8, 0.85, 0.9), light=light)
    solids = [cube((broad, tall, 0.02), (where, 1.5, -d / 2 + 0.01), day, "window")]
    cloth = material(rng)
    if rng.random() < 0.5:
        for end in (-1, 1):
            at = (where + end * (broad / 2 + 0.12), 1.35, -d / 2 + 0.07)
            solids.append(cube((0.3, 1.7, 0.08), at, cloth, "curtain"))
    side = float(rng.choice([-1, 1]))
    along = rng.uniform(-0.3, 0.3) * d
    solids.append(cube((0.04, 2.0, 0.9), (side * (w / 2 - 0.02), 1.0, along), wood(rng), "door"))
    for _ in range(int(rng.integers(0, 4))):
        across, up = rng.uniform(0.25, 0.7, 2)
        y = rng.uniform(1.3, 1.9)
        z = rng.uniform(-0.4, 0.4) * d
        at = (-side * (w / 2 - 0.02), y, z)
        solids.append(cube((0.03, up, across), at, material(rng), "picture"))
    if rng.random() < 0.5:
        solids.append(cube((w * 0.5, 0.015, d * 0.4), (0, 0.008, 0), material(rng), "rug"))
    return solids


def _place_on_floor(
    rng: Generator,
    size: Floats,
    *,
    solids: list[Solid],
    taken: list[tuple[Floats, Floats]],
    build: Builder,
    thing: int,
    backed: bool = False,
) -> int:
    """Place an object where there is room; returns the number of the next object.

    `taken` are the lowest and highest x and z of each taken place. The object is added to `solids`,
    its place to `taken`. A `backed` object mostly stands at a wall.
    """
    made = build(rng)
    corners = np.concatenate([solid.transform @ CORNERS for solid in made], 1)
    radius = float(np.abs(corners[[0, 2]]).max())
    for _ in range(15):
        if backed and rng.random() < 0.8:
            x, z, turn = _draw_place_at_wall(rng, size, radius, -float(corners[2].min()))
        else:
            x = rng.uniform(-1, 1) * max(0.1, size[0] / 2 - radius)
            z = rng.uniform(-1, 1) * max(0.1, size[2] / 2 - radius)
            turn = float(rng.choice([0, 90, 180, 270]) + rng.normal(0, 12))
        transform = translation(x, 0, z) @ rotation("y", turn)
        foot = (transform @ corners)[[0, 2]]
        low = foot.min(1)
        high = foot.max(1)
        if all((low > end).any() or (high < start).any() for start, end in taken):
            taken.append((low, high))
            solids += place_object(made, transform, thing)
            return thing + 1
    return thing


def _draw_place_at_wall(
    rng: Generator, size: Floats, radius: float, back: float
) -> tuple[float, float, float]:
    """Draw x, z and the rotation of a place with the back to the back, left or right wall."""
    side = int(rng.integers(-1, 2))
    across = rng.uniform(-1, 1)
    gap = back + 0.13  # curtains, pictures and doors fit behind
    if side:
        return side * (size[0] / 2 - gap), across * max(0.1, size[2] / 2 - radius), -90.0 * side
    return across * max(0.1, size[0] / 2 - radius), gap - size[2] / 2, 0.0


def _scatter_small_things(
    rng: Generator, size: Floats, solids: list[Solid], viewpoint: Viewpoint, thing: int
) -> None:
    tops = [solid for solid in solids if _is_top(solid)]
    for _ in range(int(rng.poisson(6))):
        made = LYING[str(rng.choice(list(LYING)))](rng)
        if tops and rng.random() < 0.75:
            top = tops[int(rng.integers(len(tops)))]
            x, z = rng.uniform(-0.8, 0.8, 2).tolist()
            at = top.transform @ np.array([x, 1.0, z, 1.0])
            transform = translation(*at[:3].tolist())
        else:
            x, z = rng.uniform(-0.45, 0.45, 2).tolist()
            transform = translation(x * size[0], 0, min(z * size[2], viewpoint.z - CLEAR))
        solids += place_object(made, transform @ rotation("y", rng.uniform(0, 360)), thing)
        thing += 1


def _is_top(solid: Solid) -> bool:
    """Whether objects can lie on the solid: a board wider than 0.55 m and at most 1.1 m high."""
    if solid.label not in TOPS or solid.shape != "cube":
        return False
    across = 2 * min(float(np.hypot(*solid.transform[[0, 2], axis])) for axis in (0, 2))
    top = float(solid.transform[1, 3] + abs(solid.transform[1, 1]))
    return across > 0.55 and top < 1.1


def _draw_viewpoint(rng: Generator, size: Floats) -> Viewpoint:
    """Draw a viewpoint near the front wall at a person's eye height, looking into the room."""
    x = rng.uniform(-0.35, 0.35) * size[0]
    y = rng.uniform(*HEIGHTS)
    turn = rng.normal(0, 14)
    tilt = rng.normal(-9, 5)
    return Viewpoint(x=x, y=y, z=size[2] / 2 - 0.25, turn=turn, tilt=tilt)


def _camera(rng: Generator, viewpoint: Viewpoint, view: int) -> Matrix:
    """The camera's transform; views after the first are shifted a little."""
    x, y, z, turn, tilt = viewpoint
    if view:
        x += rng.normal(0, 0.12)
        y += rng.normal(0, 0.06)
        turn += rng.normal(0, 3)
    return translation(x, y, z) @ rotation("y", turn) @ rotation("x", tilt)
