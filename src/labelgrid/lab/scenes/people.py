"""Builds a person: a jointed body with parts, in a random pose."""

from numpy.random import Generator

from labelgrid.lab.scenes.scene_objects import colour
from labelgrid.lab.scenes.solids import (
    Material,
    Matrix,
    Solid,
    ball,
    place_object,
    rotation,
    scaling,
    translation,
)

#: The parts in the order of the label's classes; the first is for pixels without a person.
PARTS = ("none", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg")
PERSON = "person"


def person(rng: Generator) -> list[Solid]:
    """A standing, walking or sitting person of 1.5 to 1.9 m with feet on the floor, facing +z."""
    size = rng.uniform(0.88, 1.1)
    sitting = rng.random() < 0.25
    skin = Material(colour=colour(rng))
    shirt = Material(colour=colour(rng))
    trousers = Material(colour=colour(rng))
    hip = 0.5 if sitting else 0.92
    solids = [
        ball((0.18, 0.3, 0.12), (0, hip + 0.27, 0), material=shirt, label=PERSON, part="torso"),
        ball((0.1, 0.13, 0.11), (0, hip + 0.72, 0), material=skin, label=PERSON, part="head"),
    ]
    for side in (-1, 1):
        swing = -80.0 if sitting else rng.normal(0, 22)
        bend = 80.0 if sitting else rng.uniform(0, 35)
        joint = translation(side * 0.1, hip, 0) @ rotation("x", swing)
        solids += _limb(
            joint,
            lengths=(0.44, 0.42),
            bend=bend,
            radii=(0.085, 0.06),
            materials=(trousers, trousers),
            name="leg",
        )
        raised = float(rng.choice([rng.normal(0, 30), rng.uniform(-150, -60)], p=[0.75, 0.25]))
        shoulder = (
            translation(side * 0.2, hip + 0.5, 0)
            @ rotation("z", side * rng.uniform(4, 25))
            @ rotation("x", raised)
        )
        solids += _limb(
            shoulder,
            lengths=(0.3, 0.27),
            bend=-rng.uniform(0, 80),
            radii=(0.055, 0.045),
            materials=(shirt, skin),
            name="arm",
        )
    return place_object(solids, scaling(size, size, size))


def _limb(
    joint: Matrix,
    *,
    lengths: tuple[float, float],
    bend: float,
    radii: tuple[float, float],
    materials: tuple[Material, Material],
    name: str,
) -> list[Solid]:
    """Hang an upper and a lower ellipsoid from a joint; the lower one is bent by some degrees."""
    joints = (joint, joint @ translation(y=-lengths[0]) @ rotation("x", bend))
    halves = ("upper", "lower")
    solids = []
    for half, at, length, radius, material in zip(
        halves, joints, lengths, radii, materials, strict=True
    ):
        size = (radius, length / 2, radius)
        part = f"{half} {name}"
        solid = ball(size, (0, -length / 2, 0), material=material, label=PERSON, part=part)
        solids += place_object([solid], at)
    return solids
