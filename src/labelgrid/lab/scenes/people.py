"""Builds a person: a jointed body with parts, in a random pose."""

import numpy as np

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


def person(rng: np.random.Generator) -> list[Solid]:
    """A standing, walking or sitting person of 1.5 to 1.9 m, its feet on the floor, facing +z."""
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
        swing = -80.0
        bend = 80.0
        if not sitting:
            swing = float(rng.normal(0, 22))
            bend = float(rng.uniform(0, 35))
        joint = translation(side * 0.1, hip, 0) @ rotation("x", swing)
        solids += _limb(
            joint,
            0.44,
            lower=0.42,
            bend=bend,
            thick=(0.085, 0.06),
            first=trousers,
            second=trousers,
            name="leg",
        )
        raised = float(rng.choice([rng.normal(0, 30), rng.uniform(-150, -60)], p=[0.75, 0.25]))
        shoulder = (
            translation(side * 0.2, hip + 0.5, 0)
            @ rotation("z", side * float(rng.uniform(4, 25)))
            @ rotation("x", raised)
        )
        solids += _limb(
            shoulder,
            0.3,
            lower=0.27,
            bend=-float(rng.uniform(0, 80)),
            thick=(0.055, 0.045),
            first=shirt,
            second=skin,
            name="arm",
        )
    return place_object(solids, scaling(size, size, size), 0)


def _limb(
    transform: Matrix,
    upper: float,
    lower: float,
    bend: float,
    thick: tuple[float, float],
    first: Material,
    second: Material,
    name: str,
) -> list[Solid]:
    """Two ellipsoids that hang from a joint, the lower one bent at the second joint.

    Args:
        transform: places the first joint.
        upper: the length of the upper ellipsoid.
        lower: the length of the lower one.
        bend: the angle of the second joint, in degrees.
        thick: the radii of both.
        first: the material of the upper ellipsoid.
        second: the material of the lower one.
        name: the limb's name.
    """
    top = ball(
        (thick[0], upper / 2, thick[0]),
        (0, -upper / 2, 0),
        material=first,
        label=PERSON,
        part=f"upper {name}",
    )
    end = ball(
        (thick[1], lower / 2, thick[1]),
        (0, -lower / 2, 0),
        material=second,
        label=PERSON,
        part=f"lower {name}",
    )
    return [
        *place_object([top], transform, 0),
        *place_object([end], transform @ translation(y=-upper) @ rotation("x", bend), 0),
    ]
